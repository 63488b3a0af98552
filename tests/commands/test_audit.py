"""`gatekeeper audit`: verifies a log and prints its entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.controller.runtime import audit_log
from tests.commands.conftest import Run


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """A log with one entry for each of two objects."""
    log = audit_log.AuditLog(tmp_path / "audit.jsonl")
    for name in ("apps", "infra"):
        log.append({"step": "done", "object": f"flux-system/{name}", "reason": "Applied", "changes": [{}, {}]})
    log.close()
    return tmp_path / "audit.jsonl"


def test_verify_accepts_an_unchanged_log(run: Run, log_file: Path) -> None:
    assert run("audit", "verify", log_file) == (0, f"{log_file}: 2 entries, all unchanged\n", "")


def test_verify_names_the_changed_line(run: Run, log_file: Path) -> None:
    log_file.write_bytes(log_file.read_bytes().replace(b"flux-system/infra", b"flux-system/other"))
    code, out, _ = run("audit", "verify", log_file)
    assert code == 1 and out.startswith(f"{log_file}:2: ") and out.endswith("1 entries before it are unchanged\n")


def test_show_prints_the_entries_of_one_object(run: Run, log_file: Path) -> None:
    code, out, _ = run("audit", "show", log_file, "--object", "flux-system/apps")
    [line] = out.splitlines()
    assert code == 0 and "flux-system/apps" in line and line.endswith("Applied: 2 changes")


def test_show_names_the_line_that_is_not_json(run: Run, log_file: Path) -> None:
    log_file.write_bytes(log_file.read_bytes() + b"broken\n")
    code, _, err = run("audit", "show", log_file)
    assert (code, err) == (2, f"gatekeeper: {log_file}:3: not JSON; run `gatekeeper audit verify`\n")


def test_a_missing_log_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    code, _, err = run("audit", "verify", tmp_path / "missing")
    assert (code, err) == (2, f"gatekeeper: {tmp_path / 'missing'}: cannot be read: No such file or directory\n")


@pytest.mark.parametrize("head", ["2", "two:" + "0" * 64, "2:00"])
def test_a_malformed_head_is_a_usage_error(run: Run, log_file: Path, head: str) -> None:
    code, _, err = run("audit", "verify", log_file, "--head", head)
    assert code == 2 and f"--head {head}: use NUMBER:DIGEST" in err
