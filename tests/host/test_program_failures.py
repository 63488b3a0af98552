"""Failures of programs: each is counted, whatever the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.host.program_failures import count_failures
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream.worker import UpstreamWorker, WorkerLostError


def test_each_kind_of_failure_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [count_failures()]
    with pytest.raises(ToolError, match="cannot be started"):
        process.run_command([tmp_path / "missing"], 5)
    counts.append(count_failures())
    with pytest.raises(ToolError, match="took longer"):
        process.run_command(["sleep", "60"], 0.1)
    counts.append(count_failures())
    with pytest.raises(ToolError, match="cannot be started"):
        UpstreamWorker(tmp_path / "missing", "1", "")
    counts.append(count_failures())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ToolError, match="is not installed"):
        DEFAULT_TOOLCHAIN.find("gatekeeper-upstream")
    counts.append(count_failures())
    WorkerLostError("a process ended")
    counts.append(count_failures())
    assert len(set(counts)) == len(counts)


def test_a_program_that_fails_by_itself_is_not_counted() -> None:
    """What it then says is about its input."""
    before = count_failures()
    assert process.run_command(["false"], 5)[0] == 1
    assert count_failures() == before
