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
