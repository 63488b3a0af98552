"""Shards of a repository: together they have the verdict of one run, and a missing shard is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import UsageError
from gatekeeper.gate import shards
from gatekeeper.model import FieldPath, format_path, parse_path
from tests.conftest import Repository, command, needs, verdict_of
from tests.engines.references.objects import POD
from tests.gate.test_impact import FILES

WAIVER = '# gatekeeper:waive rule=images/latest-tag expires=2027-01-01 reason="moving" ticket=T-1\n'


@pytest.fixture
def root(repository: Repository) -> Path:
    files = dict(FILES)
    files["plain/waived.yaml"] = str(files["plain/old.yaml"]).replace("        image", f"        {WAIVER}        image")
    files["plain/unused.yaml"] = str(files["plain/map.yaml"]) + WAIVER
    files["pod.yaml"] = POD
    files["broken.yaml"] = "a: [\n"
    files["README.md"] = 'password = "hunter2-Zk9vQ1x7Lm3"\n'
    return repository(files)


@needs("gatekeeper-upstream")
@pytest.mark.parametrize("of", [1, 2, 5])
def test_all_shards_together_are_the_whole(root: Path, tmp_path: Path, of: int) -> None:
    reports = []
    for number in range(1, of + 1):
        target = tmp_path / f"{number}.json"
        assert command("check", "--shard", f"{number}/{of}", "--format", f"json={target}", cwd=root)[0] in (0, 1, 3)
        reports.append(target)
    for form in ("json", "sarif", "junit"):
        whole = command("check", "--format", form, cwd=root)
        assert command("merge", "--format", form, *reversed(reports), cwd=root) == whole


@needs("gatekeeper-upstream")
def test_each_shard_checks_its_part_only(root: Path) -> None:
    verdicts = [verdict_of("--shard", f"{number}/3", cwd=root)[1] for number in (1, 2, 3)]
    assert (
        sum(verdict["coverage"]["resources"] for verdict in verdicts)
        == verdict_of(cwd=root)[1]["coverage"]["resources"]
    )
    assert all(verdict["coverage"]["files"] < 12 for verdict in verdicts)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (["1.json"], "shard 2 of 2 is missing"),
        (["1.json", "1.json"], "shard 1 is also in"),
        (["1.json", "whole.json"], "not the report of a shard"),
        (["1.json", "three.json"], "number of shards differs from that in "),
        (["1.json", "policies.json"], "digest of the policies differs from that in "),
        (["1.json", "broken.json"], "broken.json: "),
        (["1.json", "other.json"], "not a JSON report of `gatekeeper check`: at the top level"),
    ],
)
def test_reports_of_different_runs_are_not_joined(
    repository: Repository, tmp_path: Path, named: list[str], told: str
) -> None:
    root = repository({"a.yaml": POD})
    made: dict[str, list[str | Path]] = {
        "1.json": ["--shard", "1/2"],
        "three.json": ["--shard", "2/3"],
        "whole.json": [],
        "policies.json": ["--shard", "2/2", "--policy", tmp_path / "p"],
    }
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.rego").write_text("package main\nimport rego.v1\ndeny contains 1 if false\n")
    for name in {*named} & made.keys():
        command("check", *map(str, made[name]), "--format", f"json={tmp_path / name}", cwd=root)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    code, _, err = command("merge", *named, cwd=tmp_path)
    assert (code, told in err) == (2, True), err


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_shard_has_one_canonical_form(text: str) -> None:
    with pytest.raises(UsageError, match="must be I/N"):
        shards.parse(text)


@given(st.text(max_size=30), st.integers(1, 9))
def test_every_file_is_in_exactly_one_shard(file: str, of: int) -> None:
    assert sum(shards.Shard((number, of)).contains(file) for number in range(1, of + 1)) == 1


@given(
    st.lists(st.integers(0, 99) | st.text(st.characters(exclude_characters='"]['), max_size=8), max_size=5).map(tuple)
)
def test_a_path_can_be_written_and_read(path: FieldPath) -> None:
    assert parse_path(format_path(path)) == path
