"""Build units: what is built as one, in an order in which each applier is known before its folder."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.render import build_units
from gatekeeper.render.inputs import RenderInputs
from gatekeeper.render.model import BuildUnit
from tests.conftest import Repository, needs
from tests.render.rendering import WEB, collect, flux, render, the


@needs("gatekeeper-upstream")
def test_a_parents_patch_changes_what_its_children_apply(repository: Repository) -> None:
    """The parent gives its children their variables, so the child's folder can be built only after the parent's."""
    patch = """\
  patches:
  - patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: any}
      spec:
        postBuild: {substitute: {image: "web:7"}}
    target: {kind: Kustomization}
"""
    root = repository(
        {
            "clusters/all.yaml": flux("all", "./overlay", patch),
            "overlay/kustomization.yaml": "resources: [../children/web.yaml]\n",
            "children/web.yaml": flux("web", "./apps/web"),
            "apps/web/kustomization.yaml": "resources: [web.yaml]\n",
            "apps/web/web.yaml": WEB.replace("web:1", "${image}"),
        }
    )
    rendered = render(root)
    assert the(rendered, "Deployment").value["spec"]["template"]["spec"]["containers"][1]["image"] == "web:7"
    assert not [gap for gap in rendered.gaps if "${VAR}" in gap.reason]


def order(inputs: RenderInputs) -> list[list[str]]:
    """The folders of the units, generation by generation."""
    generations = build_units.order_units(inputs.build_units, inputs.kustomizations, inputs.applied_folders)
    return [sorted(unit.folder for unit in generation) for generation in generations]


def kustomize(*resources: str) -> str:
    return f"resources: [{', '.join(resources)}]\n"


def test_a_kustomization_that_another_builds_on_is_not_a_unit_unless_a_controller_applies_it(
    repository: Repository,
) -> None:
    root = repository(
        {
            "base/kustomization.yaml": kustomize("w.yaml"),
            "base/w.yaml": WEB,
            "over/kustomization.yaml": kustomize("../base"),
        }
    )
    assert collect(root).build_units == [BuildUnit("over")]
    (root / "a.yaml").write_text(flux("a", "./base"))
    assert collect(root).build_units == [BuildUnit("base"), BuildUnit("over")]


def test_of_a_cycle_one_kustomization_is_built_so_that_it_is_reported(repository: Repository) -> None:
    inputs = collect(repository({"a/kustomization.yaml": kustomize("../b"), "b/kustomization.yaml": kustomize("../a")}))
    assert inputs.build_units == [BuildUnit("a")]


def test_plain_files_are_a_unit_of_the_nearest_applied_folder(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "c/a.yaml": flux("a", "./apps") + "---\n" + flux("b", "./apps/inner"),
        "apps/w.yaml": WEB,
        "apps/sub/w.yaml": WEB,
        "apps/inner/w.yaml": WEB,
        "other/w.yaml": WEB,
    }
    inputs = collect(repository(files))
    assert inputs.build_units == [
        BuildUnit("apps", ("apps/sub/w.yaml", "apps/w.yaml")),
        BuildUnit("apps/inner", ("apps/inner/w.yaml",)),
    ]
    assert inputs.unapplied_files == ["c/a.yaml", "other/w.yaml"]


def test_the_unit_with_an_applier_is_built_before_the_folder_that_it_applies(repository: Repository) -> None:
    inputs = collect(
        repository(
            {
                "a.yaml": flux("all", "./one"),
                "one/kustomization.yaml": kustomize("k.yaml"),
                "one/k.yaml": flux("two", "./two"),
                "two/kustomization.yaml": kustomize("k.yaml"),
                "two/k.yaml": flux("three", "./three"),
                "three/w.yaml": WEB,
            }
        )
    )
    assert order(inputs) == [["one"], ["two"], ["three"]]


def test_folders_that_apply_each_other_are_built_in_one_generation(repository: Repository) -> None:
    inputs = collect(
        repository(
            {
                "one/kustomization.yaml": kustomize("k.yaml"),
                "one/k.yaml": flux("two", "./two"),
                "two/kustomization.yaml": kustomize("k.yaml"),
                "two/k.yaml": flux("one", "./one"),
            }
        )
    )
    assert order(inputs) == [["one", "two"]]


def test_a_component_is_used_by_a_kustomization_or_by_a_controller(repository: Repository) -> None:
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    root: Path = repository(
        {
            "app/kustomization.yaml": "components: [../parts/used]\n",
            "parts/used/kustomization.yaml": component + "components: [../nested]\n",
            "parts/nested/kustomization.yaml": component,
            "parts/added/kustomization.yaml": component,
            "parts/unused/kustomization.yaml": component,
            "a.yaml": flux("a", "./app", "  components: [../parts/added]\n"),
        }
    )
    inputs = collect(root)
    unused = build_units.find_unused_components(inputs.kustomizations, inputs.build_units, inputs.applied_folders)
    assert unused == ["parts/unused"]
