"""`gatekeeper merge`: one verdict from the reports of all shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.conftest import Repository

BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: prod}\ndta: {a: b}\n"


@pytest.fixture
def reports(repository: Repository, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The reports of both shards of a repository with an error in each of ten files."""
    monkeypatch.chdir(repository({f"{number}.yaml": BROKEN for number in range(10)}))
    files = [tmp_path / f"{number}.json" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        assert run("check", "--shard", f"{number}/2", "--format", f"json={file}").code == 1
    return files


def test_the_merged_report_equals_that_of_one_run(run: Run, reports: list[Path]) -> None:
    assert run("merge", *reports) == run("check")


def test_a_missing_shard_is_a_usage_error(run: Run, reports: list[Path]) -> None:
    code, out, err = run("merge", reports[0])
    assert (code, out) == (2, "") and "missing" in err


def test_a_file_that_is_not_a_report_is_named(run: Run, reports: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    code, out, err = run("merge", reports[0], other)
    assert (code, out) == (2, "") and f"{other}: " in err
