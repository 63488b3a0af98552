"""A small change is checked by its files alone, with the same verdict as a full check."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.commands import check
from gatekeeper.gate import pipeline
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, needs
from tests.engines.references.objects import EVERYTHING, POD
from tests.gate.test_impact import FILES
from tests.gate.test_pipeline import DEPLOYMENT
from tests.workspace.test_file_selection import run_git

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: old}
spec:
  selector: {app: old}
  ports: [{port: 80}]
"""
ALONE: dict[str, str | bytes] = {
    **FILES,
    "pod.yaml": POD,
    "all.yaml": EVERYTHING,
    "plain/service.yaml": SERVICE,
    "plain/more.yaml": DEPLOYMENT.replace("web", "more") + "---\n" + DEPLOYMENT.replace("web", "most"),
    "policy/own.rego": 'package main\nimport rego.v1\ndeny contains "no owner" if not input.metadata.labels.owner\n',
    "gatekeeper.yaml": "policies: {paths: [policy]}\n",
    "notes.md": "nothing\n",
}
EDITS = (
    ("latest", "1.0"),
    ("1.0", "latest"),
    ("nginx", "web:latest #"),
    ("app: old", "app: odd"),
    ("name: old", "name: new"),
    ("name: db", "name: database"),
    ("name: settings", "name: setting"),
    ("spec:", "spek:"),
    ("image: ", "image: &a "),
    ("containers:", "serviceAccountName: x\n      containers:"),
    ("kind: Deployment", "kind: StatefulSet"),
    ("metadata:", '# gatekeeper:waive rule=images/latest-tag expires=2027-01-01 reason="r"\nmetadata:'),
    ("port: 80", "port: 81"),
    ("nothing", 'key = "hunter2-Zk9vQ1x7Lm3"'),
    ("web:1", "web:${TAG}"),
    ("owner", "owned"),
)


@pytest.fixture
def root(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATEKEEPER_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = repository(ALONE)
    run_git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def commit(root: Path) -> None:
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of files that each run checked."""
    seen: list[int] = []
    real = pipeline.check_and_render_tree

    def counting(tree: Tree, *arguments: Any, **named: Any) -> pipeline.FullResult:
        seen.append(len(tree.files))
        return real(tree, *arguments, **named)

    monkeypatch.setattr(pipeline, "check_and_render_tree", counting)
    return seen


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = check.check(["--format", "json", *arguments, *([] if "--staged" in arguments else [str(root)])])
    return code, orjson.loads(capsys.readouterr().out)


@needs("gatekeeper-upstream")
def test_one_file_is_checked_by_itself(
    root: Path, judged: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    run(root, capsys)
    path = root / "plain" / "more.yaml"
    path.write_text(path.read_text().replace("latest", "1.0"))
    first = run(root, capsys)
    run_git(root, "add", "-A")
    second = run(root, capsys, "--staged")
    assert judged[1:] == [1, 1], "the changed file, twice"
    assert first == run(root, capsys, "--no-cache") and second == run(root, capsys, "--staged", "--no-cache")
    assert second[1]["coverage"]["resources"] == first[1]["coverage"]["resources"] > 10


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("plain/old.yaml", "app: old", "app: odd"),
        ("plain/service.yaml", "app: old", "app: odd"),
        ("pod.yaml", "name: db", "name: x"),
        ("over/p.yaml", "replicas: 2", "replicas: 3"),
        ("plain/map.yaml", "key: value", "key: other"),
        ("gatekeeper.yaml", "policies", "# x\npolicies"),
        ("plain/more.yaml", "name: more", "name: less"),
        ("policy/own.rego", "no owner", "nobody"),
        ("plain/more.yaml", "metadata:", '# gatekeeper:waive rule=a expires=2027-01-01 reason="r"\nmetadata:'),
    ],
)
def test_file_that_others_depend_on_is_checked_with_them(
    root: Path, judged: list[int], capsys: pytest.CaptureFixture[str], file: str, before: str, after: str
) -> None:
    run(root, capsys)
    (root / file).write_text((root / file).read_text().replace(before, after, 1))
    assert run(root, capsys) == run(root, capsys, "--no-cache")
    assert judged[-2] > 10


def edit(root: Path, luck: random.Random) -> None:
    path = root / luck.choice(sorted(ALONE))
    if not path.exists():
        return
    if luck.random() < 0.1:
        path.unlink()
        return
    old, new = luck.choice(EDITS)
    path.write_text(path.read_text().replace(old, new) + luck.choice(["", "", "# x\n"]))


@needs("gatekeeper-upstream")
@pytest.mark.parametrize("seed", range(16))
def test_incremental_verdict_equals_the_full_verdict(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(root)
    luck = random.Random(seed)
    run(root, capsys)
    for _ in range(4):
        for _ in range(luck.choice([1, 1, 2])):
            edit(root, luck)
        assert run(root, capsys) == run(root, capsys, "--no-cache")
        run_git(root, "add", "-A")
        if luck.random() < 0.3:
            edit(root, luck)
        assert run(root, capsys, "--staged") == run(root, capsys, "--staged", "--no-cache")
        if luck.random() < 0.5:
            commit(root)
