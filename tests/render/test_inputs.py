"""What a tree is rendered from: each file is built by kustomize, by Helm, or stands alone."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.render import inputs
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository
from tests.engines.resources import parse_resources
from tests.render.rendering import FILES, WEB, collect, flux


def list_plain_files(root: Path, settings: Config | None = None) -> list[str]:
    return [parsed.file for parsed in collect(root, settings).plain_files if parsed.file != "gatekeeper.yaml"]


def test_file_of_a_kustomization_or_chart_is_not_self_contained(repository: Repository) -> None:
    root = repository(
        {
            **FILES,
            "app/kustomization.yaml": "resources: [w.yaml]\npatches: [{path: p.yaml}]\n",
            "app/w.yaml": WEB,
            "app/p.yaml": WEB,
            "app/unnamed.yaml": WEB,
        }
    )
    assert list_plain_files(root) == ["app/unnamed.yaml", "chart/Chart.yaml", "chart/values.yaml"]


def test_files_of_a_policy_folder_are_not_manifests(repository: Repository) -> None:
    root = repository({"policy/bad.yaml": WEB, "policy-notes/a.yaml": WEB})
    assert list_plain_files(root) == ["policy-notes/a.yaml", "policy/bad.yaml"]
    assert list_plain_files(root, Config()._replace(policies=("policy",))) == ["policy-notes/a.yaml"]
    assert list_plain_files(root, Config()._replace(policies=("./",))) == ["policy-notes/a.yaml", "policy/bad.yaml"]


def test_files_outside_of_the_tree_that_its_kustomizations_build_on_are_parsed(repository: Repository) -> None:
    root = repository(
        {
            "base/kustomization.yaml": "resources: [w.yaml]\n",
            "base/w.yaml": WEB,
            "over/kustomization.yaml": "resources: [../base]\n",
        }
    )
    tree = Tree(root, ["over/kustomization.yaml"])
    parsed, _ = documents.parse_tree(tree, 1)
    collected = inputs.collect_inputs(tree, parsed, Config())
    assert set(collected.kustomizations) == {"base", "over"}
    assert set(collected.files_by_path) == {"over/kustomization.yaml", "base/kustomization.yaml", "base/w.yaml"}


def test_appliers_in_rendered_objects_create_more_units(repository: Repository) -> None:
    collected = collect(repository({"apps/w.yaml": WEB}))
    assert (collected.build_units, collected.unapplied_files) == ([], ["apps/w.yaml"])
    more = inputs.add_appliers(collected, parse_resources(flux("a", "./apps")))
    assert [(unit.folder, unit.files) for unit in more.build_units] == [("apps", ("apps/w.yaml",))]
    assert more.unapplied_files == [] and collected.build_units == []
