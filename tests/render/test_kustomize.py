"""Kustomizations that kustomize builds; nothing from outside the repository is built."""

from __future__ import annotations

import pytest

from gatekeeper.model import Location
from gatekeeper.render import kustomize
from gatekeeper.render.kustomize import KustomizeTarget
from gatekeeper.render.model import BuildOutput
from gatekeeper.upstream.client import UpstreamClient, open_client
from gatekeeper.upstream.kustomization import KustomizationBuilder
from tests.conftest import Repository, needs
from tests.render.rendering import APPLICATION, FILES, WEB, collect, fatal, flux, render, the, web

pytestmark = needs("gatekeeper-upstream")


@pytest.mark.parametrize("component", ["../../outside", "https://example.com/c", "/etc"])
def test_a_controller_cannot_lead_out_of_the_repository(repository: Repository, component: str) -> None:
    root = repository({"apps/web.yaml": WEB, "a.yaml": flux("a", "./apps", f"  components: ['{component}']\n")})
    [gap] = [gap for gap in render(root).gaps if gap.is_fatal]
    assert "not in the repository" in gap.reason


def test_failed_build_is_reported_with_the_last_words_of_kustomize(repository: Repository) -> None:
    root = repository(
        {
            "a/kustomization.yaml": "resources: [../b]\n",
            "b/kustomization.yaml": "configMapGenerator: [{name: x, files: [gone.txt]}]\n",
        }
    )
    [finding] = render(root).findings
    assert finding.message.startswith("loading KV pairs: file sources: [gone.txt]")
    assert "gone.txt: no such file" in finding.message


def test_kustomize_inflates_a_chart_of_the_repository(repository: Repository) -> None:
    inflated = "helmCharts:\n- name: web\n  releaseName: kust\n  valuesInline: {replicas: 7}\n"
    root = repository(
        {
            "app/kustomization.yaml": inflated,
            **{f"app/charts/web/{name.removeprefix('chart/')}": text for name, text in FILES.items()},
        }
    )
    found = web(root)
    assert (found.ref.name, found.value["spec"]["replicas"]) == ("kust", 7)
    assert found.origin.find_location(("spec", "replicas")) == Location("app/kustomization.yaml", 2, 9)


def test_a_chart_that_fails_is_named_with_its_template_and_without_paths_of_this_machine(
    repository: Repository,
) -> None:
    files = {f"app/charts/web/{name.removeprefix('chart/')}": text for name, text in FILES.items()}
    files["app/charts/web/templates/web.yaml"] = '{{ fail "no replicas" }}\n'
    root = repository({**files, "app/kustomization.yaml": "helmCharts: [{name: web, releaseName: w}]\n"})
    [finding] = [one for one in render(root).findings if one.rule == "render/kustomize"]
    assert (
        "the chart web cannot be rendered: execution error at (web/templates/web.yaml:1:3): no replicas"
        in finding.message
    )
    assert str(root) not in finding.message
    assert [gap.file for gap in fatal(root)] == ["app/kustomization.yaml"]


def test_kustomize_fetches_no_chart(repository: Repository) -> None:
    [gap] = fatal(repository({"kustomization.yaml": "helmCharts:\n- {name: web, repo: 'https://example.com'}\n"}))
    assert gap.reason == "inflates the Helm chart web, which is not in the repository and not fetched"


def build(repository: Repository, files: dict[str, str | bytes], folder: str = "app") -> BuildOutput:
    inputs = collect(repository(files))
    builder = KustomizationBuilder(
        open_client(inputs.config.kubernetes), inputs.tree.root, inputs.config.timeout, "1.34"
    )
    [output] = kustomize.build_targets(inputs, builder, [KustomizeTarget(folder)])
    return output


@pytest.mark.parametrize(
    ("reference", "rules"),
    [
        ("https://example.com/x", []),
        ("git@example.com:a/b", []),
        ("../../up", ["render/outside"]),
        ("/etc/passwd", ["render/outside"]),
    ],
)
def test_nothing_is_built_with_an_input_from_outside(
    repository: Repository, reference: str, rules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UpstreamClient, "get_worker", None)
    output = build(
        repository,
        {
            "app/kustomization.yaml": "resources:\n- ../base\n",
            "base/kustomization.yaml": f"resources:\n- {reference}\n",
        },
    )
    [gap] = output.gaps
    assert gap.is_fatal and reference in gap.reason and output.resources == []
    assert [(finding.rule, finding.location) for finding in output.findings] == [
        (rule, Location("base/kustomization.yaml", 2, 3)) for rule in rules
    ]


def test_the_annotations_that_kustomize_adds_are_removed_and_others_stay(repository: Repository) -> None:
    annotated = WEB.replace("  name: web\nspec", "  name: web\n  annotations: {mine: 'yes'}\nspec")
    files: dict[str, str | bytes] = {
        "app/kustomization.yaml": "namespace: prod\nresources: [w.yaml, m.yaml]\n",
        "app/w.yaml": annotated,
        "app/m.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n",
    }
    held = {resource.ref.kind: resource.value["metadata"] for resource in build(repository, files).resources}
    assert held["Deployment"]["annotations"] == {"mine": "yes"}
    assert held["ConfigMap"] == {"name": "m", "namespace": "prod"}


def test_a_failure_is_a_finding_without_paths_of_this_machine(repository: Repository) -> None:
    output = build(repository, {"app/kustomization.yaml": "resources: [none.yaml]\n"})
    [finding], [gap] = output.findings, output.gaps
    assert (finding.rule, finding.location) == ("render/kustomize", Location("app/kustomization.yaml", 1))
    assert "none.yaml" in finding.message and "/tmp" not in finding.message
    assert gap.is_fatal


APPLIED = APPLICATION.replace("path: chart", "path: overlays/prod").partition("    helm:")[0]
OUTSIDE: dict[str, str | bytes] = {
    "apps/app.yaml": APPLIED,
    "overlays/prod/kustomization.yaml": "configMapGenerator: [{name: c, files: [../../base/app.conf]}]\n",
    "base/app.conf": "a=b\n",
}


def test_argo_cd_reads_no_files_from_next_to_the_kustomization(repository: Repository) -> None:
    rendered = render(repository(dict(OUTSIDE)))
    [finding] = [finding for finding in rendered.findings if finding.rule == "render/kustomize"]
    assert "security" in finding.message and "argocd-cm" in finding.hint
    assert any(gap.is_fatal for gap in rendered.gaps)


@pytest.mark.parametrize(
    "more",
    [
        {
            "cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\ndata: {kustomize.buildOptions: --load-restrictor LoadRestrictionsNone}\n"
        },
        {"apps/app.yaml": flux("a", "./overlays/prod")},
        {
            "overlays/prod/kustomization.yaml": "configMapGenerator: [{name: c, files: [app.conf]}]\n",
            "overlays/prod/app.conf": "a=b\n",
        },
        {
            "overlays/prod/kustomization.yaml": "resources: [../../base]\n",
            "base/kustomization.yaml": "configMapGenerator: [{name: c, files: [app.conf]}]\n",
        },
    ],
)
def test_other_files_and_other_appliers_are_built(repository: Repository, more: dict[str, str | bytes]) -> None:
    assert the(render(repository({**OUTSIDE, **more})), "ConfigMap", "c-")


@pytest.mark.parametrize(("path", "is_built"), [("patch.yaml", True), ("../../base/patch.yaml", False)])
def test_a_patch_file_that_the_application_names_is_in_the_folder(
    repository: Repository, path: str, is_built: bool
) -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n"
    kustomize = f"    kustomize: {{patches: [{{path: {path}}}]}}\n"
    files = {**OUTSIDE, "apps/app.yaml": f"{APPLIED}{kustomize}", "overlays/prod/web.yaml": WEB}
    files |= {"overlays/prod/kustomization.yaml": "resources: [web.yaml]\n"}
    rendered = render(repository({**files, "overlays/prod/patch.yaml": patch, "base/patch.yaml": patch}))
    built = [one for name, group in rendered.resource_groups if name == "overlays/prod" for one in group]
    assert [one.value["spec"]["replicas"] for one in built] == ([7] if is_built else [])
