"""What a chart renders from its dependencies is placed in a file that exists, and a change of a dependency reaches it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from gatekeeper.render.helm import chart_dependencies
from tests.conftest import Repository, judge, needs, verdict_of
from tests.render.rendering import parse

pytestmark = needs("gatekeeper-upstream")
RULE = "images/latest-tag"
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Chart.Name }}-{{ .Release.Name }}", namespace: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
      - name: web
        image: "registry.example.com/web:{{ .Values.tag }}"
"""
SERVICE: dict[str, str] = {
    "Chart.yaml": "apiVersion: v2\nname: service\nversion: 1.0.0\n",
    "values.yaml": "tag: v1\n",
    "templates/web.yaml": TEMPLATE,
}
META = "apiVersion: v2\nname: meta\nversion: 1.0.0\ndependencies:\n- {name: service, version: 1.0.0MORE}\n"
CONFIG = "library: {profile: default}\n"


def meta(more: str, values: str) -> dict[str, str | bytes]:
    """A chart that uses `service`."""
    return {"meta/Chart.yaml": META.replace("MORE", more), "meta/values.yaml": values, "gatekeeper.yaml": CONFIG}


def service(folder: str, **changed: str) -> dict[str, str | bytes]:
    """The chart `service` in a folder."""
    return {f"{folder}/{name}": changed.get(name.partition(".")[0], text) for name, text in SERVICE.items()}


def archive(**changed: str) -> bytes:
    """The chart `service`, packed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in SERVICE.items():
            content = changed.get(name.partition(".")[0], text).encode()
            member = tarfile.TarInfo(f"service/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def places(root: Path) -> set[tuple[str, int | None]]:
    """Where the images without a fixed tag are written."""
    found = {(one.location.file, one.location.line) for one in judge(root).findings if one.rule == RULE}
    assert all((root / file).is_file() for file, _ in found)
    return found


LOCAL = ", repository: 'file://../service'"


@pytest.mark.parametrize(
    ("more", "values", "line"),
    [(LOCAL, "service:\n  tag: latest\n", 2), (f"{LOCAL}, alias: two", "a: 1\ntwo:\n  tag: latest\n", 3)],
)
def test_a_value_of_the_outer_chart_is_the_place(repository: Repository, more: str, values: str, line: int) -> None:
    assert places(repository({**meta(more, values), **service("service")})) == {("meta/values.yaml", line)}


def test_the_values_of_the_dependency_are_the_place_where_nothing_overrides_them(repository: Repository) -> None:
    files = {**meta(LOCAL, ""), **service("service", values="tag: latest\n")}
    assert places(repository(files)) == {("service/values.yaml", 1)}


def test_the_template_of_the_dependency_is_the_place_of_what_it_says_itself(repository: Repository) -> None:
    template = TEMPLATE.replace("{{ .Values.tag }}", "latest")
    files = {**meta(LOCAL, ""), **service("service")}
    assert places(repository({**files, "service/templates/web.yaml": template})) == {("service/templates/web.yaml", 11)}


def test_a_vendored_folder_is_the_place(repository: Repository) -> None:
    files = {**meta(", alias: two", ""), **service("meta/charts/service", values="tag: latest\n")}
    assert places(repository(files)) == {("meta/charts/service/values.yaml", 1)}


def test_an_archive_is_the_place(repository: Repository) -> None:
    packed: dict[str, str | bytes] = {"meta/charts/service-1.0.0.tgz": archive(values="tag: latest\n")}
    [(file, _)] = places(repository({**meta(", alias: two", ""), **packed}))
    assert file == "meta/charts/service-1.0.0.tgz"


def test_a_dependency_of_a_dependency_is_followed(repository: Repository) -> None:
    middle = "apiVersion: v2\nname: middle\nversion: 1.0.0\ndependencies:\n- {name: service, version: 1.0.0, repository: 'file://../service'}\n"
    files = {**meta("", ""), **service("service")}
    files |= {
        "meta/Chart.yaml": META.replace("name: service", "name: middle").replace(
            "MORE", ", repository: 'file://../middle'"
        )
    }
    files |= {
        "middle/Chart.yaml": middle,
        "middle/values.yaml": "",
        "meta/values.yaml": "middle:\n  service:\n    tag: latest\n",
    }
    assert places(repository(files)) == {("meta/values.yaml", 3)}


def test_sources_of_templates(repository: Repository) -> None:
    tree, _ = parse(repository({**meta(f"{LOCAL}, alias: two", ""), **service("service")}))
    source = chart_dependencies.find_source(tree, "meta", "charts/two/templates/web.yaml")
    assert (source.file, source.charts, source.names) == ("service/templates/web.yaml", ("meta", "service"), ("two",))
    assert list(source.list_value_paths()) == [("service/values.yaml", ())]
    assert chart_dependencies.find_source(tree, "meta", "templates/a.yaml").file == "meta/templates/a.yaml"
    assert chart_dependencies.list_used_charts(tree, "meta") == {"meta", "service"}


@pytest.mark.parametrize("changed", ["template", "archive", "Chart.yaml"])
def test_a_change_of_a_dependency_is_reported_by_the_hook_and_by_ci(repository: Repository, changed: str) -> None:
    git = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    channel = TEMPLATE.replace("{{ .Values.tag }}", "{{ .Values.channel | default .Values.tag }}")
    values = "service:\n  channel: latest\n"
    packed = "meta/charts/service-1.0.0.tgz"
    files: dict[str, str | bytes] = {**meta(LOCAL, values), **service("service")}
    after: dict[str, str | bytes] = {"service/templates/web.yaml": channel}
    if changed == "archive":
        files = {**meta("", values), packed: archive()}
        after = {packed: archive(**{"templates/web": channel})}
    elif changed == "Chart.yaml":
        files |= {"meta/Chart.yaml": META.partition("dependencies")[0], "service/templates/web.yaml": channel}
        after = {"meta/Chart.yaml": META.replace("MORE", LOCAL)}
    root = repository(files)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run(["git", "-C", root, *git, *arguments], check=True)
    for name, content in after.items():
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    code, verdict = verdict_of("--staged", cwd=root)
    assert code == 1 and [finding["rule"] for finding in verdict["findings"]] == [RULE]
    subprocess.run(["git", "-C", root, *git, "commit", "-qm", "two"], check=True)
    code, verdict = verdict_of("--since", "HEAD~1", cwd=root)
    assert code == 1
