"""`helm template`, offline and on a copy: dependencies, output and error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.model import Location
from gatekeeper.render.helm import helm_template
from gatekeeper.render.model import ChartUse
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, needs
from tests.render.rendering import CHART, FILES, TEMPLATE, web


@needs("gatekeeper-upstream")
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


def depend_on(*names: str) -> str:
    listed = "".join(f"- {{name: {name}, version: 1.0.0, repository: 'file://../{name}'}}\n" for name in names)
    return f"{CHART}dependencies:\n{listed}"


def test_output_is_split_by_template_and_other_text_is_left_out() -> None:
    text = "warning\n---\n# Source: web/templates/a.yaml\na: 1\n---\n# Source: web/charts/sub/templates/b.yaml\nb: 2\n"
    assert [(file, chunk.splitlines()[-1]) for file, chunk in helm_template.split_output(text)] == [
        ("templates/a.yaml", "a: 1"),
        ("charts/sub/templates/b.yaml", "b: 2"),
    ]


def test_documents_of_a_crd_file_belong_to_it_whatever_its_comments_say() -> None:
    text = "---\n# Source: web/crds/a.yaml\n---\na: 1\n---\n# Source: other/crds/x.yaml\na: 2\n---\n# Source: web/templates/b.yaml\nb: 1\n"
    files = [
        file for file, chunk in helm_template.split_output(text) if ":" in chunk.splitlines()[-1].partition("#")[0]
    ]
    assert files == ["crds/a.yaml", "crds/a.yaml", "templates/b.yaml"]


@pytest.mark.parametrize(
    ("file", "is_crd"),
    [
        ("crds/a.yaml", True),
        ("charts/sub/crds/a.yaml", True),
        ("charts/sub/charts/crds/crds/x/a.yaml", True),
        ("templates/crds/a.yaml", False),
        ("charts/crds/templates/a.yaml", False),
    ],
)
def test_files_of_crds_are_reported_from_templates(file: str, is_crd: bool) -> None:
    assert helm_template.is_crd_file(file) is is_crd


def test_a_missing_dependency_is_named_through_the_charts_that_need_it(repository: Repository) -> None:
    root = repository(
        {
            "chart/Chart.yaml": depend_on("common", "vendored", "packed"),
            "chart/charts/vendored/Chart.yaml": CHART,
            "chart/charts/packed-1.0.0.tgz": b"",
            "common/Chart.yaml": depend_on("gone"),
            "old/Chart.yaml": "apiVersion: v1\nname: old\nversion: 1.0.0\n",
            "old/requirements.yaml": "dependencies: [{name: redis, repository: 'https://example.com'}]\n",
            "self/Chart.yaml": depend_on("self"),
        }
    )
    tree = Tree(root, [])
    assert helm_template.find_missing_dependencies(tree, "chart") == ["gone"]
    assert helm_template.find_missing_dependencies(tree, "old") == ["redis"]
    assert helm_template.find_missing_dependencies(tree, "self") == [], "no endless loop"


def test_a_dependency_outside_of_the_repository_is_missing(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "Chart.yaml").write_text(CHART)
    text = CHART + "dependencies: [{name: outside, version: 1.0.0, repository: 'file://../../outside'}]\n"
    root = repository({"chart/Chart.yaml": text})
    assert helm_template.find_missing_dependencies(Tree(root, []), "chart") == ["outside"]


def test_a_chart_is_copied_only_where_a_dependency_must_be_added(repository: Repository) -> None:
    root = repository(
        {
            "plain/Chart.yaml": CHART,
            "chart/Chart.yaml": depend_on("common"),
            "common/Chart.yaml": depend_on("deep"),
            "deep/Chart.yaml": CHART,
        }
    )
    tree = Tree(root, [])
    with helm_template.prepare_chart(tree, "plain") as path:
        assert path == root / "plain"
    with helm_template.prepare_chart(tree, "chart") as path:
        assert not path.is_relative_to(root)
        assert (path / "charts" / "common" / "charts" / "deep" / "Chart.yaml").is_file()
    assert not path.exists()


@pytest.mark.parametrize("name", ["../../../escape", "/escape", "..", "''", "a/b", "'**'", "'*'", '"\\0"'])
def test_a_dependency_is_copied_to_no_other_place_than_its_folder(
    repository: Repository, tmp_path: Path, name: str
) -> None:
    text = f"{CHART}dependencies: [{{name: {name}, version: 1.0.0, repository: 'file://../common'}}]\n"
    tree = Tree(repository({"chart/Chart.yaml": text, "common/Chart.yaml": CHART}), [])
    before = sorted(tmp_path.rglob("*"))
    with helm_template.prepare_chart(tree, "chart") as path:
        inside = [file for file in path.rglob("Chart.yaml") if file.parent != path]
        assert [file.parent.parent for file in inside] in ([], [path / "charts"])
    assert sorted(tmp_path.rglob("*")) == before and not Path("/escape").exists()
    is_copied = name in ("'**'", "'*'")
    assert bool(helm_template.find_missing_dependencies(tree, "chart")) is not is_copied


def test_nothing_is_written_to_where_a_link_in_a_chart_leads(repository: Repository, tmp_path: Path) -> None:
    root = repository({"chart/Chart.yaml": depend_on("common"), "common/Chart.yaml": CHART})
    (tmp_path / "elsewhere").mkdir()
    (root / "chart" / "charts").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(ToolError, match="`chart/charts` is a symbolic link"),
        helm_template.prepare_chart(Tree(root, []), "chart"),
    ):
        pass
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_out_of_the_repository_is_not_read(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.yaml").write_text("secret")
    root = repository({"chart/Chart.yaml": CHART, "shared/b.yaml": "a: b\n", "chart/templates/c.yaml": ""})
    (root / "chart" / "templates" / "a.yaml").symlink_to(tmp_path / "outside" / "a.yaml")
    (root / "chart" / "files").symlink_to(tmp_path / "outside")
    (root / "chart" / "templates" / "b.yaml").symlink_to(root / "shared" / "b.yaml")
    files = {file["name"]: file for file in helm_template.read_chart(root / "chart", root).files}
    assert {name for name, file in files.items() if file["fault"]} == {"files", "templates/a.yaml"}
    assert files["files"]["fault"] == "files is a link out of the repository"
    assert files["templates/b.yaml"]["size"] == 5


@pytest.mark.parametrize(("count", "is_copied"), [(helm_template.MAX_NESTED_CHARTS + 1, True), (30, False)])
def test_dependencies_of_dependencies_are_all_copied_or_refused(
    repository: Repository, count: int, is_copied: bool
) -> None:
    """Helm ignores those that are missing below the first level: they would not be checked without a word."""
    charts = {f"c{number}/Chart.yaml": depend_on(f"c{number + 1}") for number in range(count - 1)}
    tree = Tree(repository({**charts, f"c{count - 1}/Chart.yaml": CHART}), [])
    if is_copied:
        with helm_template.prepare_chart(tree, "c0") as path:
            assert len(list(path.rglob("Chart.yaml"))) == count
    else:
        with pytest.raises(ToolError, match="more than 20 levels"), helm_template.prepare_chart(tree, "c0"):
            pass


def test_dependencies_that_are_copied_too_often_are_refused(repository: Repository) -> None:
    charts = {}
    for number in range(12):
        listed = "".join(f"- {{name: {name}, repository: 'file://../d{number + 1}'}}\n" for name in "abc")
        charts[f"d{number}/Chart.yaml"] = f"{CHART}dependencies:\n{listed}"
    tree = Tree(repository({**charts, "d12/Chart.yaml": CHART}), [])
    with pytest.raises(ToolError, match="or 500 of them"), helm_template.prepare_chart(tree, "d0"):
        pass


@needs("gatekeeper-upstream")
def test_an_error_of_helm_names_files_from_the_root_of_the_repository(repository: Repository) -> None:
    root = repository({**FILES, "chart/templates/web.yaml": "a: {{ .Values.x | nothing }}"})
    with pytest.raises(ToolError) as caught:
        helm_template.run_helm_template(
            Tree(root, []), ChartUse("chart", "a", "b"), helm_template.read_chart(root / "chart", root), Config()
        )
    assert 'function "nothing" not defined' in str(caught.value)
    assert str(root) not in str(caught.value)


@needs("gatekeeper-upstream")
def test_a_missing_file_of_values_is_named(repository: Repository) -> None:
    root = repository(FILES)
    use = ChartUse("chart", "a", "b", ("missing.yaml",))
    with pytest.raises(ToolError, match=r"^open missing\.yaml: no such file or directory$"):
        helm_template.run_helm_template(Tree(root, []), use, helm_template.read_chart(root / "chart", root), Config())
