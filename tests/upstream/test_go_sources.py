"""The Go sources are formatted, `go vet` finds nothing in them, and their own tests pass."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command

SOURCES = toolchain.PACKAGE / "upstream" / "go"
KYVERNO_SOURCES = toolchain.PACKAGE / "engines" / "admission" / "kyverno" / "go"
MAX_LINES, MAX_FUNCTION_LINES = 300, 50
SECONDS = 1800.0
# As the program is built, so that nothing is compiled twice.
SETTINGS = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false"}


@pytest.fixture(scope="module")
def go() -> str:
    """The path of Go; a test is skipped where there is none, and fails in CI."""
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        if os.environ.get("GATEKEEPER_CI"):
            pytest.fail("there is no Go")
        pytest.skip("there is no Go")
    return found


def run(*command: str, folder: Path = SOURCES) -> str:
    environment = {**toolchain.get_build_environment(), **SETTINGS}
    code, out, err = run_command(command, SECONDS, folder, environment=environment)
    assert code == 0, out.decode()[-5000:] + err[-5000:]
    return out.decode()


def test_the_sources_are_formatted(go: str) -> None:
    formatter = Path(go).resolve().with_name("gofmt")
    if not formatter.is_file():
        pytest.skip("this Go has no gofmt")
    assert run(str(formatter), "-l", ".") == run(str(formatter), "-l", ".", folder=KYVERNO_SOURCES) == ""


def test_the_sources_pass_vet_and_their_tests(go: str) -> None:
    assert run(go, "vet", "./...") == ""
    assert "FAIL" not in run(go, "test", "./...")


def test_the_sources_for_kyverno_pass_vet(go: str) -> None:
    assert run(go, "vet", "./...", folder=KYVERNO_SOURCES) == ""


@pytest.mark.parametrize("package", ["limits", "protocol"])
def test_both_programs_have_the_same_limits_and_protocol(package: str) -> None:
    """Two modules, because Kyverno and the API server need different versions of their libraries."""
    first, second = (
        {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / package).glob("*.go"))}
        for folder in (SOURCES, KYVERNO_SOURCES)
    )
    assert first == second


@pytest.mark.parametrize(
    "source", sorted([*SOURCES.rglob("*.go"), *KYVERNO_SOURCES.rglob("*.go")]), ids=lambda path: path.name
)
def test_files_and_functions_are_small(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES
    starts = [number for number, line in enumerate(lines) if line.startswith("func ")]
    for start in starts if not source.name.endswith("_test.go") else ():
        if not lines[start].endswith("}"):
            length = next(number for number, line in enumerate(lines[start:]) if line == "}")
            assert length < MAX_FUNCTION_LINES, lines[start]
