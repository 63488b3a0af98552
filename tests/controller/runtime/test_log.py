"""The log: one JSON object per line, also from several threads; internal errors without their text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from gatekeeper.controller.runtime.log import MAX_FRAMES, describe_fault, log_event


def test_a_line_has_time_level_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log_event("warning", "line\nbreak", object="a/b", path=Path("x"))
    [line] = capsys.readouterr().out.splitlines()
    entry = orjson.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {"level": "warning", "message": "line\nbreak", "object": "a/b", "path": "x"}


def test_lines_of_several_threads_are_not_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log_event("info", "x" * 5000, number=number), range(40)))
    entries = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(entry["number"] for entry in entries) == list(range(40))


def test_an_internal_error_is_described_without_its_text() -> None:
    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError("hunter2")

    with pytest.raises(ValueError) as caught:
        fail(10)
    text = describe_fault(caught.value)
    assert text.startswith("internal error: ValueError at test_log.py:") and "hunter2" not in text
    assert text.count("test_log.py") == MAX_FRAMES
