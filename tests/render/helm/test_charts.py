"""Charts that helm renders; what it cannot render is a finding and a fatal gap."""

from __future__ import annotations

import pytest

from gatekeeper.model import Location
from gatekeeper.render.helm import charts
from gatekeeper.render.helm.chart_content import LocalChart
from gatekeeper.render.model import BuildOutput, ChartUse
from tests.conftest import Repository, judge, needs, rules
from tests.render.rendering import CHART, FILES, TEMPLATE, collect, fatal, render

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndta: {}\n"
pytestmark = needs("gatekeeper-upstream")


def test_failed_chart_is_reported_with_the_message_of_helm(repository: Repository) -> None:
    root = repository({**FILES, "chart/templates/web.yaml": TEMPLATE + '{{ fail "give me a name" }}'})
    rendered = render(root)
    [finding] = rendered.findings
    assert "give me a name" in finding.message and str(root) not in finding.message
    assert any(gap.is_fatal for gap in rendered.gaps)


def test_a_dependency_from_elsewhere_is_a_gap_with_the_remedy(repository: Repository) -> None:
    remote = CHART + "dependencies:\n- {name: redis, version: 1.0.0, repository: 'https://charts.example.com'}\n"
    [gap] = fatal(repository({**FILES, "chart/Chart.yaml": remote}))
    assert gap.file == "chart/Chart.yaml"
    assert gap.reason.startswith("depends on redis") and "helm dependency build" in gap.reason


def build(repository: Repository, files: dict[str, str | bytes], use: ChartUse) -> BuildOutput:
    inputs = collect(repository(files))
    return charts.build_chart(
        inputs.tree, use, LocalChart(inputs.tree, use.chart), inputs.files_by_path, inputs.config
    ).complete


def test_each_template_is_the_file_of_its_resources(repository: Repository) -> None:
    output = build(repository, FILES, ChartUse("chart", "shop", "prod"))
    [resource] = output.resources
    assert (str(resource.ref), resource.origin.file) == ("Deployment prod/shop", "chart/templates/web.yaml")
    assert not output.findings and not output.gaps


def test_all_crds_of_a_chart_and_its_dependencies_are_apart_from_the_templates(repository: Repository) -> None:
    crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: NAME.example.org}\n"
    files: dict[str, str | bytes] = {
        **FILES,
        # Controller generators begin each file with a separator.
        "chart/crds/first.yaml": f"---\n# Source: example.org/first\n{crd.replace('NAME', 'a')}---\n{crd.replace('NAME', 'b')}",
        "chart/charts/sub/Chart.yaml": CHART.replace("web", "sub"),
        "chart/charts/sub/crds/second.yaml": crd.replace("NAME", "c"),
        "chart/charts/sub/templates/crds/third.yaml": crd.replace("NAME", "d"),
    }
    inputs = collect(repository(files))
    use = ChartUse("chart", "shop", "prod")
    output = charts.build_chart(
        inputs.tree, use, LocalChart(inputs.tree, use.chart), inputs.files_by_path, inputs.config
    )
    crds = [(resource.ref.name, resource.origin.file) for resource in output.crds.resources]
    assert crds == [
        ("a.example.org", "chart/crds/first.yaml"),
        ("b.example.org", "chart/crds/first.yaml"),
        ("c.example.org", "chart/charts/sub/crds/second.yaml"),
    ]
    assert [resource.ref.name for resource in output.templates.resources] == ["d.example.org", "shop"]
    assert output.complete.resources == [*output.crds.resources, *output.templates.resources]


def test_output_that_is_not_yaml_is_not_checked_at_all(repository: Repository) -> None:
    files: dict[str, str | bytes] = {**FILES, "chart/templates/broken.yaml": "a: {{ .Values.text }}\n"}
    use = ChartUse("chart", "shop", "prod", inline_values=b'{"text": "[unclosed"}')
    output = build(repository, files, use)
    [finding], [gap] = output.findings, output.gaps
    assert (finding.rule, finding.severity, gap.is_fatal) == ("render/helm", "error", True)
    assert "templates/broken.yaml" in finding.message and output.resources == []


def test_a_failure_names_the_values_files_that_it_happened_with(repository: Repository) -> None:
    use = ChartUse("chart", "shop", "prod", ("envs/none.yaml",))
    output = build(repository, FILES, use)
    [finding], [gap] = output.findings, output.gaps
    assert finding.message.endswith(" with envs/none.yaml") and finding.location == Location("chart/Chart.yaml", 1)
    assert gap.is_fatal and output.resources == []


@pytest.mark.parametrize(
    ("chart", "reason"),
    [
        ("", "chart.metadata.name is required"),
        ("# nothing\n", "chart.metadata.name is required"),
        ("- a\n", "cannot unmarshal array"),
        ("abc\n", "cannot unmarshal string"),
        ("apiVersion: v2\nversion: 1.0.0\n", "chart.metadata.name is required"),
        ("apiVersion: v2\nname: a\n", "chart.metadata.version is required"),
        ("apiVersion: v2\nname: a\nversion: x\n", 'chart.metadata.version "x" is invalid'),
        ("apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: x\n", "cannot unmarshal string"),
    ],
)
def test_a_chart_that_helm_refuses_is_not_accepted(repository: Repository, chart: str, reason: str) -> None:
    """One finding for the chart, and the other one is judged."""
    files: dict[str, str | bytes] = {"bad/Chart.yaml": chart, "bad/templates/a.yaml": "a: 1\n"}
    files |= {"good/Chart.yaml": "apiVersion: v2\nname: good\nversion: 1.0.0\n", "good/templates/a.yaml": OBJECT}
    verdict = judge(repository(files))
    [refusal] = [finding for finding in verdict.findings if finding.rule == "render/helm"]
    assert (refusal.location.file, verdict.exit_code) == ("bad/Chart.yaml", 3)
    assert reason in refusal.message
    assert "schema/unknown-field" in rules(verdict)


@pytest.mark.parametrize("second", ["a", "b"])
def test_a_cycle_of_dependencies_is_a_gap(repository: Repository, second: str) -> None:
    """Of a chart that needs itself, or of two that need each other, and a chart that needs one of them."""
    dependencies = {"a": second, "b": "a", "c": "a"}
    files: dict[str, str | bytes] = {"o.yaml": OBJECT}
    for name, needed in dependencies.items():
        dependency = f"{{name: {needed}, version: 1.0.0, repository: 'file://../{needed}'}}"
        files[f"{name}/Chart.yaml"] = f"apiVersion: v2\nname: {name}\nversion: 1.0.0\ndependencies: [{dependency}]\n"
    verdict = judge(repository(files))
    gaps = {gap.file: gap.reason for gap in verdict.coverage.gaps if gap.is_fatal}
    assert gaps.keys() == {"a/Chart.yaml", "b/Chart.yaml", "c/Chart.yaml"}
    chain = "a -> a" if second == "a" else "a -> b -> a"
    assert gaps["c/Chart.yaml"] == f"its dependencies form a cycle: {chain}; remove one of them from `dependencies`"
    assert "schema/unknown-field" in rules(verdict)
