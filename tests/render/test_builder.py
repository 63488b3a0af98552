"""Builds are made once and shared, and a unit is built once for each variant of its applier fields."""

from __future__ import annotations

import pytest

from gatekeeper.render.builder import Builder
from gatekeeper.render.helm import charts
from gatekeeper.render.model import BuildUnit, ChartUse
from gatekeeper.upstream.kustomization import KustomizationBuilder
from tests.conftest import Repository, needs
from tests.render.rendering import FILES, WEB, collect, flux, open_builder

KUSTOMIZED: dict[str, str | bytes] = {"app/kustomization.yaml": "resources: [w.yaml]\n", "app/w.yaml": WEB}


@needs("gatekeeper-upstream")
def test_a_builder_over_other_inputs_shares_what_was_built(repository: Repository) -> None:
    builder = open_builder(repository(KUSTOMIZED))
    first = builder.build_target(BuildUnit("app"), None)
    assert [resource.ref.kind for resource in first.resources] == ["Deployment"]
    assert builder.with_inputs(builder.inputs).build_target(BuildUnit("app"), None) is first


@needs("gatekeeper-upstream")
def test_a_chart_is_rendered_once_for_each_version_of_kubernetes(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = open_builder(repository(FILES))
    config, use = builder.inputs.config, ChartUse("chart", "web", "default")
    first = builder.build_chart(use, config)
    assert builder.build_chart(use, config) is first
    assert builder.build_chart(use, config._replace(kubernetes="1.29.0")) is not first
    # With its CRDs, it is not rendered again.
    monkeypatch.setattr(charts, "build_chart", None)
    assert builder.build_chart(use._replace(include_crds=True), config).resources == first.resources


@needs("gatekeeper-upstream")
def test_a_chart_is_read_once_for_all_of_its_uses(repository: Repository) -> None:
    root = repository(FILES)
    builder = open_builder(root)
    config = builder.inputs.config
    first = builder.build_chart(ChartUse("chart", "web", "default"), config)
    (root / "chart/templates/web.yaml").write_text("{{ fail `read again` }}\n")
    second = builder.with_inputs(builder.inputs).build_chart(ChartUse("chart", "other", "default"), config)
    assert [one.ref.name for one in (*first.resources, *second.resources)] == ["web", "other"]


def test_plain_files_without_added_fields_need_no_kustomize(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KustomizationBuilder, "build", None)
    builder = open_builder(repository({"a.yaml": flux("a", "./apps"), "apps/w.yaml": WEB}))
    [unit] = builder.inputs.build_units
    output = builder.build_unit(unit, builder.inputs.applied_folders)
    assert [resource.ref.name for resource in output.resources] == ["web"]


def test_a_unit_is_built_once_for_each_set_of_variables(repository: Repository) -> None:
    def apply(name: str, tag: str) -> str:
        return flux(name, "./apps", f"  postBuild: {{substitute: {{tag: '{tag}'}}}}\n") + "---\n"

    root = repository(
        {
            "a.yaml": apply("a", "v2") + apply("b", "v3") + apply("c", "v2"),
            "apps/w.yaml": WEB.replace("web:1", "web:${tag}"),
        }
    )
    builder = Builder(collect(root))
    [unit] = builder.inputs.build_units
    output = builder.build_unit(unit, builder.inputs.applied_folders)
    images = [resource.value["spec"]["template"]["spec"]["containers"][1]["image"] for resource in output.resources]
    assert images == ["web:v2", "web:v3"]


@needs("gatekeeper-upstream")
def test_a_build_that_fails_is_reported_once_for_each_way_of_applying(repository: Repository) -> None:
    files = {"a.yaml": flux("a", "./app") + "---\n" + flux("b", "./app", "  targetNamespace: prod\n")}
    builder = open_builder(repository({**files, "app/kustomization.yaml": "resources: [none.yaml]\n"}))
    output = builder.build_unit(BuildUnit("app"), builder.inputs.applied_folders)
    assert output.resources == [] and len(output.gaps) == 2
    assert all(gap.is_fatal for gap in output.gaps)
