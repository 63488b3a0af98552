"""Helm charts: with which values the repository uses them, and which line of values or template set a field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper.model import FieldPath, Gap, Location, Resource
from gatekeeper.render import helm_values
from tests.conftest import Repository, needs
from tests.render.test_pipeline import render, the

pytestmark = needs("helm", "kustomize")

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
      - name: web
        image: "{{ .Values.image.name }}:{{ .Values.image.tag }}"
        {{- with .Values.resources }}
        resources: {{- toYaml . | nindent 10 }}
        {{- end }}
"""
VALUES = "replicas: 1\nimage:\n  name: web\n  tag: v1\nresources:\n  limits: {memory: 1Gi}\n"
FILES: dict[str, str | bytes] = {
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": VALUES,
    "chart/templates/web.yaml": TEMPLATE,
}
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: prod}
spec:
  interval: 1m
  chart:
    spec:
      chart: ./chart
      sourceRef: {kind: GitRepository, name: r}
      valuesFiles: [chart/values.yaml, envs/prod.yaml]
  values:
    image:
      tag: v3
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: p
  destination: {namespace: prod, server: https://kubernetes.default.svc}
  source:
    repoURL: https://example.com/r
    path: chart
    helm:
      releaseName: blue
      valueFiles: [../envs/prod.yaml]
      values: |
        # texts count their own lines
        image:
          tag: v4
      parameters:
      - {name: image.name, value: registry.example.com/web}
"""
CONTAINER: FieldPath = ("spec", "template", "spec", "containers", 0)


def web(root: Path) -> Resource:
    return the(render(root), "Deployment")


def fatal(root: Path) -> list[Gap]:
    return [gap for gap in render(root).gaps if gap.is_fatal]


def test_a_chart_that_nothing_uses_is_rendered_with_its_own_values(repository: Repository) -> None:
    found = web(repository(FILES))
    assert found.value["spec"]["replicas"] == 1
    assert found.origin.find_location(("spec", "replicas")) == Location("chart/values.yaml", 1, 11)
    assert found.origin.find_location((*CONTAINER, "name")) == Location("chart/templates/web.yaml", 11)
    limit = (*CONTAINER, "resources", "limits", "memory")
    assert found.origin.find_location(limit) == Location("chart/values.yaml", 6, 20)


def test_a_chart_in_the_root_has_its_subcharts_inside(repository: Repository) -> None:
    inner = {f"charts/sub/{name.removeprefix('chart/')}": text for name, text in FILES.items()}
    root = repository({**inner, **{name.removeprefix("chart/"): text for name, text in FILES.items()}})
    assert len([one for one in render(root).resources if one.ref.kind == "Deployment"]) == 2


def test_each_further_file_of_values_is_a_use(repository: Repository) -> None:
    root = repository({**FILES, "chart/values-prod.yaml": "replicas: 5\n"})
    assert sorted(one.value["spec"]["replicas"] for one in render(root).resources) == [1, 5]


def test_a_helm_release_brings_its_files_and_its_values(repository: Repository) -> None:
    root = repository({**FILES, "release.yaml": RELEASE, "envs/prod.yaml": "replicas: 4\nimage: {tag: v2}\n"})
    found = web(root)
    assert (found.ref.namespace, found.ref.name, found.value["spec"]["replicas"]) == ("prod", "shop", 4)
    assert found.origin.find_location(("spec", "replicas")) == Location("envs/prod.yaml", 1, 11)
    assert found.origin.find_location((*CONTAINER, "image")) == Location("chart/values.yaml", 3, 9)
    assert found.value["spec"]["template"]["spec"]["containers"][0]["image"] == "web:v3"


def test_values_come_from_config_maps_of_the_repository(repository: Repository) -> None:
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: v, namespace: prod}\n"
    root = repository(
        {
            **FILES,
            "release.yaml": RELEASE + "  valuesFrom:\n  - {kind: ConfigMap, name: v}\n",
            "envs/prod.yaml": "",
            "v.yaml": config_map + "data:\n  values.yaml: |\n    replicas: 8\n    image: {tag: v9}\n",
        }
    )
    found = web(root)
    assert found.value["spec"]["replicas"] == 8
    assert b"web:v3" in found.json, "what the release writes itself wins"


def test_values_from_a_secret_are_told_as_unknown(repository: Repository) -> None:
    release = RELEASE + "  valuesFrom:\n  - {kind: Secret, name: v}\n"
    rendered = render(repository({**FILES, "release.yaml": release, "envs/prod.yaml": ""}))
    assert [gap.file for gap in rendered.gaps if "was rendered without them" in gap.reason] == ["release.yaml"]


def test_an_application_brings_files_a_text_and_parameters(repository: Repository) -> None:
    root = repository({**FILES, "app.yaml": APPLICATION, "envs/prod.yaml": "replicas: 6\n"})
    found = web(root)
    assert (found.ref.namespace, found.ref.name, found.value["spec"]["replicas"]) == ("prod", "blue", 6)
    assert b"registry.example.com/web:v4" in found.json


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "app.yaml",
            APPLICATION.replace("      releaseName", "      ignoreMissingValueFiles: true\n      releaseName"),
        ),
        (
            "release.yaml",
            RELEASE.replace("      valuesFiles", "      ignoreMissingValuesFiles: true\n      valuesFiles"),
        ),
    ],
    ids=["Application", "HelmRelease"],
)
def test_files_of_values_that_may_be_missing_are_left_out(repository: Repository, name: str, text: str) -> None:
    assert web(repository({**FILES, name: text})).value["spec"]["replicas"] == 1
    assert fatal(repository({**FILES, name: text.replace(": true", ": false")}))


def test_a_release_that_an_overlay_changes_is_rendered_as_changed(repository: Repository) -> None:
    root = repository(
        {
            **FILES,
            "envs/prod.yaml": "",
            "base/release.yaml": RELEASE,
            "base/kustomization.yaml": "resources: [release.yaml]\n",
            "over/kustomization.yaml": "resources: [../base]\npatches: [{path: p.yaml}]\n",
            "over/p.yaml": RELEASE[: RELEASE.index("spec:")] + "spec:\n  values:\n    replicas: 3\n",
        }
    )
    found = web(root)
    assert found.value["spec"]["replicas"] == 3
    assert found.origin.find_location(("spec", "replicas")) == Location("over/p.yaml", 6, 15)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"r.yaml": RELEASE.replace("./chart", "web").replace("GitRepository", "HelmRepository")}, "a HelmRelease"),
        ({"a.yaml": APPLICATION.replace("path: chart", "chart: web")}, "an Application"),
    ],
    ids=["HelmRelease", "Application"],
)
def test_a_chart_from_elsewhere_is_told(repository: Repository, files: dict[str, str | bytes], words: str) -> None:
    [gap] = [gap for gap in render(repository(files)).gaps if "its chart is not in the repository" in gap.reason]
    assert gap.reason.startswith(words)
    assert not gap.is_fatal


def test_a_dependency_of_the_same_repository_is_found(repository: Repository) -> None:
    needs_common = CHART + "dependencies:\n- {name: common, version: 1.0.0, repository: 'file://../common'}\n"
    root = repository(
        {
            **FILES,
            "chart/Chart.yaml": needs_common,
            "common/Chart.yaml": "apiVersion: v2\nname: common\nversion: 1.0.0\ntype: library\n",
            "common/templates/_x.tpl": '{{- define "x" }}9{{ end }}',
            "chart/templates/web.yaml": TEMPLATE.replace("{{ .Values.replicas }}", '{{ include "x" . }}'),
        }
    )
    found = web(root)
    assert found.value["spec"]["replicas"] == 9
    assert found.origin.find_location(("spec", "replicas")) == Location("chart/templates/web.yaml", 7)
    assert not (root / "chart" / "charts").exists(), "nothing is written into the repository"


def test_a_dependency_from_elsewhere_is_a_gap_with_the_remedy(repository: Repository) -> None:
    remote = CHART + "dependencies:\n- {name: redis, version: 1.0.0, repository: 'https://charts.example.com'}\n"
    [gap] = fatal(repository({**FILES, "chart/Chart.yaml": remote}))
    assert gap.file == "chart/Chart.yaml"
    assert gap.reason.startswith("depends on redis") and "helm dependency build" in gap.reason


def test_a_chart_that_fails_is_told_in_helms_words(repository: Repository) -> None:
    root = repository({**FILES, "chart/templates/web.yaml": TEMPLATE + '{{ fail "give me a name" }}'})
    rendered = render(root)
    [finding] = rendered.findings
    assert "give me a name" in finding.message and str(root) not in finding.message
    assert any(gap.is_fatal for gap in rendered.gaps)


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


def test_kustomize_fetches_no_chart(repository: Repository) -> None:
    [gap] = fatal(repository({"kustomization.yaml": "helmCharts:\n- {name: web, repo: 'https://example.com'}\n"}))
    assert gap.reason == "inflates the Helm chart web, which is not in the repository and not fetched"


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("a.b", "1", {"a": {"b": 1}}),
        ("a[1].b", "true", {"a": [None, {"b": True}]}),
        (r"a.b\.c/d", "007", {"a": {"b.c/d": "007"}}),
        ("x", "null", {"x": None}),
    ],
)
def test_parameters_are_read_as_helm_reads_set(name: str, value: str, held: Any) -> None:
    assert helm_values.parse_parameters([{"name": name, "value": value}])[0] == held


def test_mappings_merge_and_all_else_is_replaced() -> None:
    assert helm_values.merge_values({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": 3}) == {
        "a": {"b": 1, "c": [2]},
        "d": 3,
    }
