"""Charts that ask the cluster or the network: what depends on the answer is not checked, and the run says so."""

from __future__ import annotations

import pytest

from gatekeeper.model import Gap
from tests.conftest import Repository, command, judge, needs, rules
from tests.gate.test_pipeline import GOOD

pytestmark = needs("gatekeeper-upstream")
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
OBJECT = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: b, labels: {read: by-its-label}}\ndata: {a: %s}\n"
)
LOOKUP = OBJECT % """{{ (lookup "v1" "Secret" "b" "s").data | toJson | quote }}"""
RANDOM = OBJECT % """{{ with lookup "v1" "Secret" "b" "s" }}{{ .data.a }}{{ else }}{{ randAlphaNum 8 }}{{ end }}"""
HOST = OBJECT % """{{ getHostByName "example.com" | quote }}"""
HELPER = """{{ define "h" }}{{ lookup "v1" "Secret" "b" "s" }}{{ end }}"""


def find_gaps(repository: Repository, files: dict[str, str | bytes]) -> list[Gap]:
    verdict = judge(repository({"c/Chart.yaml": CHART, **files}))
    return [gap for gap in verdict.coverage.gaps if gap.reason.startswith("calls `")]


@pytest.mark.parametrize(("template", "function"), [(LOOKUP, "lookup"), (HOST, "getHostByName")])
def test_a_chart_whose_objects_depend_on_the_cluster_is_not_accepted(
    repository: Repository, template: str, function: str
) -> None:
    wrong = GOOD.replace("\ndata:", "\ndta:")
    code, out, _ = command(
        "check", repository({"c/Chart.yaml": CHART, "c/templates/a.yaml": template, "a.yaml": wrong})
    )
    assert code == 3 and f"c/templates/a.yaml: calls `{function}`" in out
    assert "unknown field `dta`" in out


@pytest.mark.parametrize("function", ["env", "expandenv"])
def test_a_chart_that_reads_the_environment_is_not_rendered(repository: Repository, function: str) -> None:
    template = OBJECT % f"""{{{{ {function} "HOME" | quote }}}}"""
    verdict = judge(repository({"c/Chart.yaml": CHART, "c/templates/a.yaml": template}))
    assert (verdict.exit_code, rules(verdict)) == (3, {"render/helm"})
    assert f'function "{function}" not defined' in verdict.findings[0].message


@pytest.mark.parametrize(
    "files",
    [
        {"c/templates/a.yaml": RANDOM},
        {"c/templates/a.yaml": OBJECT % 1, "c/templates/_helpers.tpl": HELPER},
        {"c/templates/a.yaml": OBJECT % 1, "c/charts/d/Chart.yaml": CHART, "c/charts/d/templates/a.yaml": LOOKUP},
    ],
)
def test_a_common_use_of_lookup_is_listed(repository: Repository, files: dict[str, str | bytes]) -> None:
    [gap] = find_gaps(repository, files)
    assert "calls `lookup`, which finds nothing here" in gap.reason and not gap.is_fatal


@pytest.mark.parametrize(
    "text",
    [
        "{{/* lookup is not used */}}1",
        "{{- /* lookup \n is not used */ -}}1",
        '{{ "lookup this" | quote }}',
        "{{ `lookup` | quote }}",
        "{{ .Values.lookup | default 1 }}",
        "{{ $lookup := 1 }}{{ $lookup }}",
        "lookup # getHostByName",
    ],
)
def test_the_word_alone_is_no_call(repository: Repository, text: str) -> None:
    assert find_gaps(repository, {"c/templates/a.yaml": OBJECT % text}) == []


def test_templates_of_other_folders_are_not_read(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "c/templates/a.yaml": OBJECT % 1,
        "c/files/x.yaml": LOOKUP,
        "c2/templates/a": LOOKUP,
    }
    assert find_gaps(repository, files) == []
