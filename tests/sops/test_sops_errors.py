"""Why sops failed: known reasons, and never a text of the file or of sops itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.sops import sops_errors

ENCRYPTED = """\
a: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]
sops:
    age:
        - recipient: age1abc
          enc: x
    pgp:
        - fp: 0123456789ABCDEF
          enc: x
    mac: x
    lastmodified: "2026-01-01T00:00:00Z"
    version: 3.9.0
"""


@settings(deadline=None)
@given(st.integers(0, 255), st.text(max_size=40))
def test_no_text_of_sops_is_repeated(code: int, words: str) -> None:
    plain = sops_errors.format_reason(code, "", Path("a.yaml"))
    reason = sops_errors.format_reason(code, f"hidden-{words}-word", Path("a.yaml"))
    assert "hidden-" not in reason
    assert reason == plain or reason.startswith(plain)
    assert "{" not in reason.replace("{form}", "{"), "each place of a reason is filled"


@pytest.mark.parametrize(
    ("code", "stderr", "file", "reason"),
    [
        (2, "yaml: line 7: did not find key: password", "a.yaml", "cannot parse it as yaml"),
        (2, "yaml: line 7: did not find key: password", "a.yaml", "(line 7)"),
        (2, "invalid dotenv input line: KEY secret", "a.env", "every line must be KEY=value"),
        (51, "MAC mismatch", "a.yaml", "was changed after it was encrypted"),
        (1, "no matching creation rules found", "a.yaml", "no rule in its `.sops.yaml` matches it"),
        (77, "anything", "a.yaml", "exit status 77"),
    ],
)
def test_a_failure_is_explained_by_exit_status_or_known_phrase(code: int, stderr: str, file: str, reason: str) -> None:
    assert reason in sops_errors.format_reason(code, stderr, Path(file))


def test_without_a_key_the_recipients_of_the_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(ENCRYPTED)
    reason = sops_errors.format_reason(sops_errors.EXIT_NO_KEY, "", file)
    assert "age age1abc" in reason and "pgp 0123456789ABCDEF" in reason and "SOPS_AGE_KEY_FILE" in reason
    missing = sops_errors.format_reason(sops_errors.EXIT_NO_KEY, 'exec: "gpg": not found', file)
    assert missing.endswith("GnuPG (`gpg`) is not installed")


def test_a_file_that_cannot_be_read_has_no_recipients(tmp_path: Path) -> None:
    reason = sops_errors.format_reason(sops_errors.EXIT_NO_KEY, "", tmp_path / "none.yaml")
    assert reason.startswith("no available key decrypts it: ")
