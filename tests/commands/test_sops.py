"""`gatekeeper sops`: encrypts in place, and refuses files that are not SOPS files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.conftest import needs
from tests.sops.conftest import age


@needs("sops")
def test_a_file_is_encrypted_once_and_then_left_unchanged(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = age(tmp_path / "keys", "age.txt")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(key.file))
    (tmp_path / ".sops.yaml").write_text(f"creation_rules:\n  - age: {key.recipient}\n")
    file = tmp_path / "secret.yaml"
    file.write_text("password: hunter2\n")
    assert run("sops", "encrypt", file) == (0, f"encrypted  {file}\n", "")
    assert "hunter2" not in file.read_text()
    assert run("sops", "encrypt", file) == (0, f"unchanged  {file}\n", "")


@needs("sops")
def test_a_folder_without_sops_files_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert run("sops", "rotate", tmp_path) == (2, "", f"gatekeeper: {tmp_path}: no SOPS file found\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "secret.yaml"], "needs one FILE and one FIELD"),
        (["unset", "secret.yaml", "a..b"], "invalid field `a..b`"),
        (["decrypt", "secret.yaml"], "secret.yaml: not encrypted with sops"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.yaml").write_text("password: hunter2\n")
    code, out, err = run("sops", *arguments)
    assert (code, out) == (2, "") and message in err and "hunter2" not in err
