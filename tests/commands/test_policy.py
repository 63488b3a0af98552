"""`gatekeeper policy test`: tests in Rego and folders with cases, with an exit status that CI can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import command

RULE = """package team
import rego.v1

deny contains "bad name" if startswith(input.metadata.name, "x-")
"""
TEST = """package team_test
import rego.v1

test_finds if count(data.team.deny) == 1 with input as {"metadata": {"name": "x-a"}}
test_lets_pass if count(data.team.deny) == WANTED with input as {"metadata": {"name": "a"}}
"""
CASE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def test_all_pass(tmp_path: Path) -> None:
    files = {"team.rego": RULE, "team_test.rego": TEST.replace("WANTED", "0")}
    write(tmp_path, {**files, "bad.yaml": CASE.replace("NAME", "x-a"), "good.yaml": CASE.replace("NAME", "a")})
    assert command("policy", "test", tmp_path)[:2] == (0, "4 passed, 0 failed, with embedded\n")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"team_test.rego": TEST.replace("WANTED", "7")}, "team_test.rego: test_lets_pass"),
        ({"bad.yaml": CASE.replace("NAME", "a")}, "bad.yaml"),
        ({"good.yaml": CASE.replace("NAME", "x-a")}, "good.yaml"),
    ],
    ids=["a test that fails", "a bad case that is not found", "a good case that is"],
)
def test_what_fails_is_named(tmp_path: Path, files: dict[str, str], told: str) -> None:
    write(tmp_path, {"team.rego": RULE, **files})
    code, out, _ = command("policy", "test", tmp_path)
    assert code == 1
    assert f"{told}\n" in out and out.splitlines()[0].startswith("FAIL")


def test_no_test_at_all_is_no_success(tmp_path: Path) -> None:
    write(tmp_path, {"team.rego": RULE})
    code, _, err = command("policy", "test", tmp_path)
    assert (code, "contains no test; tests are `test_...` rules" in err) == (3, True)
