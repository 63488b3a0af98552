"""Helm charts: with which values the repository uses them, and which line of values or template set a field."""

from __future__ import annotations

import pytest

from gatekeeper.model import Location
from tests.conftest import Repository, needs
from tests.render.rendering import APPLICATION, CHART_CONTAINER, FILES, RELEASE, fatal, render, web

pytestmark = needs("gatekeeper-upstream")


def test_a_chart_in_the_root_has_its_subcharts_inside(repository: Repository) -> None:
    inner = {f"charts/sub/{name.removeprefix('chart/')}": text for name, text in FILES.items()}
    root = repository({**inner, **{name.removeprefix("chart/"): text for name, text in FILES.items()}})
    assert len([one for one in render(root).resources if one.ref.kind == "Deployment"]) == 2


def test_each_further_file_of_values_is_a_use(repository: Repository) -> None:
    root = repository({**FILES, "chart/values-prod.yaml": "replicas: 5\n"})
    assert sorted(one.value["spec"]["replicas"] for one in render(root).resources) == [1, 5]


def test_helm_release_provides_files_and_values(repository: Repository) -> None:
    root = repository({**FILES, "release.yaml": RELEASE, "envs/prod.yaml": "replicas: 4\nimage: {tag: v2}\n"})
    found = web(root)
    assert (found.ref.namespace, found.ref.name, found.value["spec"]["replicas"]) == ("prod", "shop", 4)
    assert found.origin.find_location(("spec", "replicas")) == Location("envs/prod.yaml", 1, 11)
    assert found.origin.find_location((*CHART_CONTAINER, "image")) == Location("chart/values.yaml", 3, 9)
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


def test_values_from_a_secret_are_reported_as_unknown(repository: Repository) -> None:
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
        (
            {"r.yaml": RELEASE.replace("./chart", "web").replace("GitRepository", "HelmRepository")},
            "a HelmRelease: HelmRepository `r` is not in the repository",
        ),
        (
            {"a.yaml": APPLICATION.replace("path: chart", "chart: web")},
            "an Application: its chart is not in `gatekeeper.lock`",
        ),
    ],
    ids=["HelmRelease", "Application"],
)
def test_a_chart_from_elsewhere_is_reported(repository: Repository, files: dict[str, str | bytes], words: str) -> None:
    [gap] = [gap for gap in render(repository(files)).gaps if "chart" in gap.reason]
    assert gap.reason.startswith(words)
    assert not gap.is_fatal
