"""The audit log: entries that were changed, removed, cut off or rewritten are found."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.controller.runtime import audit_log
from gatekeeper.errors import ToolError
from tests.conftest import command


def written(file: Path, count: int = 5) -> audit_log.AuditHead:
    log = audit_log.AuditLog(file)
    for number in range(count):
        log.append({"step": "done", "object": f"flux-system/k{number}", "message": f"é {number}"})
    log.close()
    return log.head


def test_a_reopened_log_continues_its_chain(tmp_path: Path) -> None:
    file = tmp_path / "new" / "audit.jsonl"
    written(file)
    head = written(file, 2)
    assert head.number == 7 and audit_log.verify_chain(audit_log.read_lines(file), head) == (7, None)
    code, out, _ = command("audit", "verify", file, "--head", str(head))
    assert (code, out) == (0, f"{file}: 7 entries, all unchanged\n")
    code, out, _ = command("audit", "show", file, "--object", "flux-system/k1")
    assert code == 0 and out.count("flux-system/k1") == 2
    assert (file.stat().st_mode & 0o777) == 0o600


@settings(deadline=None)  # each case waits for the disk
@given(line=st.integers(0, 4), place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_every_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, line: int, place: int, byte: int
) -> None:
    file = tmp_path_factory.mktemp("log") / "audit.jsonl"
    head = written(file)
    lines = file.read_bytes().splitlines(keepends=True)
    spot = place % len(lines[line])
    changed = lines[line][:spot] + bytes([byte]) + lines[line][spot + 1 :]
    if changed == lines[line]:
        return
    count, fault = audit_log.verify_chain([*lines[:line], changed, *lines[line + 1 :]], head)
    assert fault is not None and count <= line


@pytest.mark.parametrize(
    ("what", "line", "words"),
    [
        (lambda lines: lines[1:], 1, "found entry 2, expected entry 1: an entry is missing"),
        (lambda lines: [*lines[:2], *lines[3:]], 3, "found entry 4, expected entry 3: an entry is missing"),
        (
            lambda lines: [lines[1], lines[0], *lines[2:]],
            1,
            "found entry 2, expected entry 1: an entry is missing or out of order",
        ),
        (lambda lines: lines[:3], 4, "the log ends here, but must have 5 entries"),
        (lambda lines: [*lines[:4], lines[4].rstrip()], 5, "incomplete entry: the line end is missing"),
        (lambda lines: [*lines[:4], b"[]\n"], 5, "not an entry of gatekeeper/audit/v1"),
        (lambda lines: [], 1, "the log ends here"),
    ],
)
def test_a_break_is_reported_with_its_line(tmp_path: Path, what: object, line: int, words: str) -> None:
    file = tmp_path / "audit.jsonl"
    head = written(file)
    lines = what(file.read_bytes().splitlines(keepends=True))  # type: ignore[operator]
    file.write_bytes(b"".join(lines))
    code, out, _ = command("audit", "verify", file, "--head", str(head))
    assert code == 1 and out.startswith(f"{file}:{line}: ") and words in out


def test_a_rewritten_log_does_not_match_the_head(tmp_path: Path) -> None:
    head = written(tmp_path / "old")
    log = audit_log.AuditLog(tmp_path / "new")
    for _ in range(5):
        log.append({"step": "done", "object": "flux-system/other"})
    assert audit_log.verify_chain(audit_log.read_lines(tmp_path / "new")) == (5, None)
    _, fault = audit_log.verify_chain(audit_log.read_lines(tmp_path / "new"), head)
    assert fault is not None and fault.line == 5 and "the log has been rewritten" in fault.reason


def test_a_torn_last_entry_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    written(file)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"schema": "gatek')
    head = written(file, 1)
    assert head.number == 6 and audit_log.verify_chain(audit_log.read_lines(file)) == (6, None)
    assert file.read_bytes().startswith(whole)


def test_a_file_that_is_not_an_intact_log_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    written(file)
    lines = file.read_bytes().splitlines(keepends=True)
    last = {**orjson.loads(lines[-1]), "object": "another"}
    file.write_bytes(b"".join(lines[:-1]) + orjson.dumps(last) + b"\n")
    with pytest.raises(ToolError, match="the last entry has been changed"):
        audit_log.AuditLog(file)
    file.write_bytes(b"hello\n")
    with pytest.raises(ToolError, match="not an audit log: its last line is not an entry"):
        audit_log.AuditLog(file)
    with pytest.raises(ToolError, match="cannot open the audit log"):
        audit_log.AuditLog(tmp_path)


def test_a_full_disk_is_an_error_and_the_log_stays_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.jsonl"
    written(file)
    log, before = audit_log.AuditLog(file), file.read_bytes()
    real = os.write
    # As much as there was room for, and then no more.
    monkeypatch.setattr(os, "write", lambda handle, line: real(handle, line[:10]))
    with pytest.raises(ToolError, match="cannot write the audit log"):
        log.append({"step": "done"})
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert log.append({"step": "done"}).number == 6 and audit_log.verify_chain(audit_log.read_lines(file)) == (6, None)


@pytest.mark.parametrize("head", ["x", "1:abc", "1"])
def test_an_invalid_head_is_refused(tmp_path: Path, head: str) -> None:
    written(tmp_path / "audit.jsonl")
    code, _, err = command("audit", "verify", tmp_path / "audit.jsonl", "--head", head)
    assert code == 2 and "use NUMBER:DIGEST" in err
    assert command("audit", "verify", tmp_path / "none")[0] == 2
