"""A file whose name is not UTF-8 is checked, reported, waived and cached like any other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.file_names import to_printable
from gatekeeper.report.formats import REPORT_FORMATS, render_report
from tests.conftest import Repository, command, judge

NAME = os.fsdecode(b"caf\xe9")
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: correct horse}\n"
TOKEN = "ghp_" + "q8Zt3vXy7Lw2Rb9Kd4Mf6Hs1Jn5Pc0Ua3Wx9"
FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": "library: {profile: 'off'}\nwaivers: {maxDays: 999999}\n",
    f"{NAME}.yaml": SECRET,
    f"{NAME}/a.env": f"t={TOKEN}\n",
    f"{NAME}.bin": b"\0\1\2",
    f"{NAME}.tf": 'resource "a" "b" {\n  x = 1\n}\n',
}
RULES = {"plaintext/secret", "plaintext/github-token"}


def commit(root: Path) -> None:
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm a"):
        subprocess.run(["git", *words.split()], cwd=root, check=True)


@pytest.mark.parametrize(
    ("text", "printable"),
    [
        ("a.yaml", "a.yaml"),
        ("für.yaml", "für.yaml"),
        (NAME, "caf\\xe9"),
        (f"ü/{NAME}", "ü/caf\\xe9"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_bytes_that_are_not_utf8_are_replaced(text: str, printable: str) -> None:
    assert to_printable(text) == printable


@given(st.binary(max_size=20))
def test_any_name_can_be_printed(name: bytes) -> None:
    text = to_printable(os.fsdecode(name))
    assert to_printable(text) == text and text.encode().decode() == text


@pytest.mark.parametrize("report_format", REPORT_FORMATS)
def test_every_report_has_a_readable_name(repository: Repository, report_format: str) -> None:
    root = repository(FILES)
    verdict = judge(root)
    assert {finding.rule for finding in verdict.findings} >= RULES
    text = render_report(report_format, verdict, root)
    # JSON writes a backslash twice.
    text = text.replace("\\\\", "\\")
    assert ("caf%E9" if report_format == "sarif" else "caf\\xe9") in text or report_format == "policyreport"
    assert text.encode()


def test_a_gap_alone_is_reported(repository: Repository) -> None:
    root = repository({f"{NAME}.bin": b"\0\1\2"})
    verdict = judge(root)
    assert verdict.exit_code == 0 and f"{NAME}.bin" in [gap.file for gap in verdict.coverage.gaps]
    assert all(render_report(report_format, verdict, root) for report_format in REPORT_FORMATS)


def test_the_fingerprint_is_that_of_the_readable_name(repository: Repository) -> None:
    for finding in judge(repository(FILES)).findings:
        place = finding.location
        readable = finding._replace(location=place._replace(file=to_printable(place.file)))
        assert readable.fingerprint == finding.fingerprint


def test_a_waiver_names_the_file_in_its_readable_form(repository: Repository) -> None:
    waivers = "waivers:\n- {rule: 'plaintext/*', file: 'caf\\xe9*', reason: known, expires: 2999-01-01}\n"
    verdict = judge(repository({**FILES, "waivers.yaml": waivers}))
    assert {finding.rule for finding in verdict.findings if finding.waiver} == RULES
    assert not RULES & {finding.rule for finding in verdict.active_findings}


def test_the_cache_the_baseline_and_an_earlier_commit_know_the_file(repository: Repository, tmp_path: Path) -> None:
    root = repository(FILES)
    commit(root)
    env = {**os.environ, "GATEKEEPER_CACHE": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    runs = [command("check", "--format", "json", *more, cwd=root, env=env) for more in ((), (), ("--no-cache",))]
    assert runs[0][0] == 1 and runs[0] == runs[1] == runs[2]
    assert {entry["file"] for entry in orjson.loads(runs[0][1])["findings"]} >= {"caf\\xe9.yaml", "caf\\xe9/a.env"}
    (root / f"{NAME}.yaml").write_text(SECRET + "# changed\n")
    assert command("check", "--since", "HEAD", cwd=root, env=env)[0] == 0
    changed = [command("check", "--format", "json", *more, cwd=root, env=env) for more in ((), ("--no-cache",))]
    assert changed[0] == changed[1]
    assert command("check", "--write-baseline", cwd=root, env=env)[0] == 0
    assert command("check", cwd=root, env=env)[0] == 0
