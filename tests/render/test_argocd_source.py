"""One source of an Application: the tool that renders it, and what cannot be rendered is a fatal gap."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gatekeeper.model import Resource
from gatekeeper.render import argocd_source
from gatekeeper.render.argocd_source import SourceTarget
from gatekeeper.render.model import BuildOutput
from tests.conftest import Repository, needs
from tests.engines.resources import build_resource
from tests.render.rendering import FILES, open_builder

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def build_application(source: dict[str, object]) -> Resource:
    return build_resource(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": "a", "namespace": "argocd"},
            "spec": {"source": source, "destination": {"namespace": "prod"}},
        }
    )


def render(root: Path, source: dict[str, object]) -> BuildOutput:
    target = SourceTarget(build_application(source), ("spec", "source"), str(source["path"]), {})
    # A pattern of these tests is the whole name.
    return argocd_source.render_source(open_builder(root), target, lambda pattern, path: pattern == path)


def list_names(output: BuildOutput) -> list[str]:
    assert not output.gaps
    return sorted(resource.ref.name for resource in output.resources)


def reject(root: Path, source: dict[str, object]) -> str:
    """The reason why a source is not rendered at all."""
    output = render(root, source)
    [gap] = output.gaps
    assert gap.is_fatal and output.resources == []
    return str(gap.reason)


@pytest.fixture
def root(repository: Repository) -> Path:
    """A folder with manifests, a subfolder, and a file that Argo CD skips."""
    return repository(
        {
            "app/a.yaml": MAP % "a",
            "app/b.json": orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}),
            "app/notes.md": "no manifest\n",
            "app/skipped.yaml": "# +argocd:skip-file-rendering\n" + MAP % "skipped",
            "app/sub/c.yaml": MAP % "c",
        }
    )


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a", "b"]),
        ({"recurse": True}, ["a", "b", "c"]),
        ({"recurse": True, "exclude": "a.yaml"}, ["b", "c"]),
        ({"recurse": True, "include": "sub/c.yaml"}, ["c"]),
        ({"include": "a.yaml", "exclude": "a.yaml"}, []),
    ],
)
def test_a_folder_of_manifests_is_read_as_its_options_say(
    root: Path, options: dict[str, object], names: list[str]
) -> None:
    assert list_names(render(root, {"path": "app", "directory": options})) == names


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("x.jsonnet", "{}", "Jsonnet is not supported"),
        ("x.yaml", "a: [", "cannot be read: "),
        ("x.yaml", b"\xff", "cannot be read: "),
        ("x.yaml", "age-encryption.org/v1\n", "is encrypted"),
    ],
    ids=["Jsonnet", "broken YAML", "not UTF-8", "encrypted"],
)
def test_a_file_that_cannot_be_read_is_a_fatal_gap_next_to_the_others(
    root: Path, file: str, content: str | bytes, reason: str
) -> None:
    (root / "app" / file).write_bytes(content.encode() if isinstance(content, str) else content)
    output = render(root, {"path": "app"})
    [gap] = output.gaps
    assert (gap.file, gap.is_fatal) == (f"app/{file}", True) and gap.reason.startswith(reason)
    assert {resource.ref.name for resource in output.resources} == {"a", "b"}


def test_a_path_that_leads_out_or_is_a_link_to_manifests_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "inner").symlink_to(root / "app")
    for path in ("link", "../outside"):
        assert "leads out of the repository" in reject(root, {"path": path})
    assert "of which Argo CD reads none" in reject(root, {"path": "inner"})
    assert "not a folder" in reject(root, {"path": "none"})
    assert "not a folder" in reject(root, {"path": "app/a.yaml"})


def test_a_path_over_links_is_followed(repository: Repository) -> None:
    files = {"apps/k/kustomization.yaml": "resources: [a.yaml]\n", "apps/k/a.yaml": MAP % "a"}
    root = repository({**files, "apps/plain/b.yaml": MAP % "b"})
    (root / "all").symlink_to("apps")
    (root / "built").symlink_to("all/k")
    assert list_names(render(root, {"path": "built"})) == ["a"]
    assert list_names(render(root, {"path": "all/plain"})) == ["b"]


def test_the_build_environment_of_argo_cd_is_refused(root: Path) -> None:
    for text in ("$ARGOCD_APP_NAME", "${ARGOCD_ENV_X}"):
        assert "$ARGOCD_" in reject(root, {"path": "app", "kustomize": {"namePrefix": text}})


def test_a_kustomization_that_cannot_be_parsed_is_not_rendered(repository: Repository) -> None:
    root = repository({"app/kustomization.yaml": "resources: [\n", "app/a.yaml": MAP % "a"})
    assert reject(root, {"path": "app"}) == "its kustomization cannot be read"


def test_a_values_file_outside_of_the_repository_is_refused(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("replicas: 9\n")
    root = repository(FILES)
    (root / "chart" / "linked.yaml").symlink_to(tmp_path / "secret.yaml")
    for file in ("linked.yaml", "../../secret.yaml"):
        reason = reject(root, {"path": "chart", "helm": {"valueFiles": [file]}})
        assert "is outside the repository" in reason


@needs("gatekeeper-upstream")
def test_a_chart_is_rendered_with_the_options_of_the_application(repository: Repository) -> None:
    root = repository({**FILES, "chart/crds/c.yaml": MAP % "crd"})
    source: dict[str, object] = {"path": "chart", "helm": {"releaseName": "blue", "values": "replicas: 4"}}
    output = render(root, source)
    assert {resource.ref.name for resource in output.resources} == {"blue", "crd"}
    assert next(one for one in output.resources if one.ref.name == "blue").value["spec"]["replicas"] == 4
    without = render(root, {"path": "chart", "helm": {"releaseName": "blue", "skipCrds": True}})
    assert [resource.ref.name for resource in without.resources] == ["blue"]
