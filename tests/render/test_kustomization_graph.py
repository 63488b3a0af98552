"""References of kustomizations: files and folders of the repository, remote ones, and those outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.render import kustomization_graph
from gatekeeper.render.model import KustomizationFile
from tests.conftest import Repository
from tests.render.rendering import CHART, parse


def find(root: Path) -> dict[str, KustomizationFile]:
    return kustomization_graph.find_kustomizations(*parse(root))


def test_each_reference_is_a_folder_a_file_a_remote_or_outside(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    root = repository(
        {
            "base/kustomization.yaml": "",
            "app/w.yaml": "",
            "app/kustomization.yaml": """\
resources: [../base, w.yaml, "https://example.com/x", "github.com/a/b", ../base?ref=v1]
components: [linked, /etc, ../../up]
patches: [{path: p.yaml}, {patch: "kind: A\\n"}]
patchesStrategicMerge: [s.yaml, "kind: B\\nmetadata: {}\\n"]
replacements: [{path: r.yaml}]
configMapGenerator: [{name: c, files: [key=f.txt, g.txt], envs: [h.env], env: i.env}]
secretGenerator: [{name: s, files: [../../secret/token]}]
""",
        }
    )
    (root / "app" / "linked").symlink_to(tmp_path / "secret")
    part = find(root)["app"]
    assert part.folders == ("base",)
    assert part.files == tuple(
        f"app/{name}" for name in ("w.yaml", "s.yaml", "p.yaml", "r.yaml", "f.txt", "g.txt", "h.env", "i.env")
    )
    assert part.remotes == ("https://example.com/x", "github.com/a/b", "../base?ref=v1")
    assert part.outside_paths == ("linked", "/etc", "../../up", "../../secret/token")


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {path: ./x}\n",
        "resources: [\n",
        "[1, 2]\n",
        "",
    ],
    ids=["of Flux", "broken", "a list", "empty"],
)
def test_a_file_that_is_not_a_kustomization_has_none(repository: Repository, text: str) -> None:
    assert find(repository({"kustomization.yaml": text})) == {}


def test_a_reference_that_no_path_can_be_is_a_file(repository: Repository) -> None:
    name = "n" * 300
    root = repository({"kustomization.yaml": f"resources: [{name}, {'b/' * 2000}x, {name}/x.yaml]"})
    assert find(root)[""].files == (name, f"{'b/' * 2000}x", f"{name}/x.yaml")


def test_a_chart_is_found_where_kustomize_looks_for_it(repository: Repository) -> None:
    root = repository(
        {
            "app/kustomization.yaml": """\
helmGlobals: {chartHome: ../home}
helmCharts:
- {name: one}
- {name: two, version: 1.2.3}
- {name: three, chartHome: ../../out}
- {name: four}
""",
            "home/one/Chart.yaml": CHART,
            "home/two-1.2.3/two/Chart.yaml": CHART,
        }
    )
    part = find(root)["app"]
    assert part.local_charts == ("home/one", "home/two-1.2.3/two")
    assert part.missing_charts == ("three", "four")


def test_a_chart_and_its_values_can_be_beside_the_kustomization(repository: Repository) -> None:
    kustomization = """\
helmGlobals: {chartHome: ../}
helmCharts: [{name: one, valuesFile: prod.yaml, additionalValuesFiles: [../more.yaml]}]
openapi: {path: schema.json}
"""
    root = repository({"app/kustomization.yaml": kustomization, "one/Chart.yaml": CHART})
    part = find(root)["app"]
    assert (part.local_charts, part.missing_charts) == (("one",), ())
    assert part.files == ("app/schema.json", "app/prod.yaml", "more.yaml")


def test_everything_that_a_kustomization_builds_on_is_listed_once_even_in_a_cycle(repository: Repository) -> None:
    found = find(
        repository(
            {
                "a/kustomization.yaml": "resources: [../b, ../c]\n",
                "b/kustomization.yaml": "resources: [../c]\n",
                "c/kustomization.yaml": "resources: [../a]\n",
                "d/kustomization.yaml": "resources: [x.yaml]\n",
            }
        )
    )
    reachable = kustomization_graph.list_reachable(found, "a")
    assert sorted(part.folder for part in reachable) == ["a", "b", "c"]
    assert kustomization_graph.list_reachable(found, "none") == []


def test_a_field_that_is_not_a_list_has_no_entries() -> None:
    assert kustomization_graph.list_entries({"resources": "a"}, "resources") == []
    assert kustomization_graph.list_entries(None, "resources") == []
    assert kustomization_graph.list_entries({"resources": ["a"]}, "resources") == ["a"]
