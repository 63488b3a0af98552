"""The libraries in our own Go programs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, PACKAGE, TOOLS
from gatekeeper.upstream.libraries import DECIDING_LIBRARIES, find_version, start_program
from tests.conftest import needs

GO_MOD = """\
module a

require single.example/a v1.0.0

require (
	many.example/b/v2 v2.1.0
	many.example/c v0.0.0-20210820 // indirect
	many.example/d v1.0.0
)

replace many.example/b/v2 => other.example/b/v2 v2.0.9

replace (
	many.example/d v1.0.0 => many.example/d v1.0.1
)
"""


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("single.example/a", "v1.0.0"),
        ("many.example/b/v2", "v2.0.9"),
        ("many.example/d", "v1.0.1"),
        ("many.example/c", ""),
        ("gone.example/a", ""),
    ],
)
def test_versions_are_those_of_the_module(path: str, version: str) -> None:
    assert find_version(GO_MOD, path) == version


def test_every_library_is_in_its_program() -> None:
    for name, paths in DECIDING_LIBRARIES.items():
        text = (PACKAGE / TOOLS[name].source_folder / "go.mod").read_text()
        assert all(find_version(text, path) for path in paths), name


def read_module_versions(program: Path) -> dict[str, str]:
    """The versions of the modules in a Go program, as Go itself reads them."""
    code, out, words = run_command([shutil.which("go") or "go", "version", "-m", program], 60)
    assert code == 0, words
    found: dict[str, str] = {}
    for line in out.decode().splitlines():
        fields = line.split()
        if fields[:1] == ["dep"]:
            found[path := fields[1]] = fields[2]
        elif fields[:1] == ["=>"]:
            found[path] = fields[2]
    return found


@needs("gatekeeper-upstream")
def test_the_program_is_started_and_has_these_libraries() -> None:
    libraries = start_program("gatekeeper-upstream")
    built = read_module_versions(DEFAULT_TOOLCHAIN.find("gatekeeper-upstream"))
    paths = DECIDING_LIBRARIES["gatekeeper-upstream"]
    assert libraries == {shown: built[path] for path, shown in paths.items()}


@needs("gatekeeper-kyverno")
def test_kyvernos_program_is_started() -> None:
    assert re.fullmatch(r"v1\.\d+\.\d+", start_program("gatekeeper-kyverno")["kyverno"])


@needs("gatekeeper-upstream", "kustomize", "helm")
def test_the_versions_in_the_lock_are_those_of_the_libraries() -> None:
    """What `gatekeeper.lock` pins is the version of a program that is built from the same library."""
    text = (PACKAGE / TOOLS["gatekeeper-upstream"].source_folder / "go.mod").read_text()
    assert find_version(text, "helm.sh/helm/v3") == TOOLS["helm"].version
    program = read_module_versions(DEFAULT_TOOLCHAIN.find("kustomize"))
    for path in ("sigs.k8s.io/kustomize/api", "sigs.k8s.io/kustomize/kyaml"):
        assert find_version(text, path) == program[path]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with status 3"),
        ("exec cat", "answered something that is no answer"),
        (r"""head -c 4 >/dev/null; printf '\0\0\0\010{"id":1}'; exec cat >/dev/null""", "does not answer hello"),
        ("exec /nowhere", "ended with status 127"),
    ],
)
def test_a_program_that_does_not_start_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = toolchain.get_built_path(TOOLS["gatekeeper-upstream"])
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(
        ToolError, match=rf"cannot be used: .*{words}; run `gatekeeper tools install gatekeeper-upstream`"
    ):
        start_program("gatekeeper-upstream")
