"""`check` of repositories with pipes, sockets, devices and links to them: nothing waits, and each has a message."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Repository, command, judge, rules
from tests.gate.test_pipeline import GOOD

WRONG = GOOD.replace("\ndata:", "\ndta:")


def make_socket(path: Path) -> None:
    """A socket that nobody listens to; its name relative to the folder, because names of sockets are short."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, make_link_to_pipe])
@pytest.mark.parametrize("name", ["x.yaml", "x.tf", "x.rego", "kustomization.yaml", ".sops.yaml", ".gitignore"])
def test_what_is_no_file_is_named_and_the_rest_is_checked(
    repository: Repository, make: Callable[[Path], None], name: str
) -> None:
    root = repository({"a.yaml": WRONG})
    make(root / name)
    verdict = judge(root)
    assert rules(verdict) == {"schema/unknown-field"}
    [reason] = [gap.reason for gap in verdict.coverage.gaps if gap.file == name]
    assert "not a regular file" in reason or "a symbolic link: checked as pipe" in reason


@pytest.mark.parametrize("name", ["gatekeeper.yaml", "gatekeeper.lock"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "not a regular file"), (os.mkdir, "Is a directory"), (make_socket, "No such device")],
)
def test_settings_that_are_no_file_are_an_error(
    repository: Repository, name: str, make: Callable[[Path], None], reason: str
) -> None:
    root = repository({"a.yaml": GOOD})
    (root / name).unlink(missing_ok=True)
    make(root / name)
    code, out, err = command("check", root)
    assert (code, out) == (2, "")
    assert f"{root / name}: cannot be read: {reason}" in err


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_baseline_that_is_no_file_is_a_finding(repository: Repository, make: Callable[[Path], None]) -> None:
    root = repository({"a.yaml": WRONG, "gatekeeper.yaml": "waivers: {baseline: known.json}\n"})
    make(root / "known.json")
    verdict = judge(root)
    assert verdict.exit_code == 1
    assert any(one.location.file == "known.json" and "cannot be read" in one.message for one in verdict.findings)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_a_path_that_is_no_file_is_an_error(repository: Repository, make: Callable[[Path], None]) -> None:
    root = repository({"a.yaml": GOOD})
    make(root / "x")
    code, _, err = command("check", root / "x")
    assert code == 2 and "neither a file nor a folder; name a file or a folder of the repository" in err


def test_a_path_that_leads_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    code, _, err = command("check", tmp_path / "loop")
    assert code == 2 and "loop: no such file or folder" in err and "internal error" not in err
