"""Which programs the tests of a file need, read from its source: it and what it imports call `server` or `needs`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.servers.builds import ROOT
from tests.servers.programs import PROGRAMS

TESTS = ROOT / "tests"
# The functions that take names of programs.
CALLS = ("needs", "server")


def programs_of(files: Iterable[Path]) -> list[str]:
    """The programs that any of these files needs, in the order in which they are built."""
    seen: set[Path] = set()
    needed: set[str] = set()
    left = list(files)
    while left:
        file = left.pop()
        if file not in seen:
            seen.add(file)
            modules, names = _read(file)
            left += modules
            needed |= names
    return [name for name in PROGRAMS if name in needed]


def find_files(places: Iterable[Path]) -> list[Path]:
    """The test files at or below some places."""
    return sorted({file for place in places for file in ([place] if place.is_file() else place.rglob("test_*.py"))})


@cache
def _read(file: Path) -> tuple[list[Path], set[str]]:
    """The modules below `tests` that a file imports, and the programs with which it calls `needs` or `server`."""
    modules: list[str] = []
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            words = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            names |= {name for name in PROGRAMS if name in words}
    paths = [ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in modules if name.startswith("tests.")]
    return [path for path in paths if path.is_file()], names
