"""The house stays easy to see: rooms know only what is below them, nothing goes in circles, nothing grows too large."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gatekeeper").rglob("*.py"))
MOST_LINES = 300
MOST_FUNCTION_LINES = 50

# Where a fault of our own ends: a program, a worker, an answer; it is told there, and nothing of what it was about.
OUTERMOST = {"cli", "controller.loop", "controller.serving"}
# Each room, and the rooms that it may know; a room may always know itself.
BASE = {
    "errors",
    "model",
    "roles",
    "process",
    "git",
    "tools",
    "sources",
    "documents",
    "yaml_events",
    "config",
    "_native",
    "cache",
    "labels",
    "cel",
}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "model": {"roles"},
    "roles": {"model"},
    "process": {"errors"},
    "git": {"errors", "process"},
    "changes": {"lock", "config", "model", "roles", "documents", "sources", "render", "sops", "engines.admission"},
    "tools": {"errors", "process"},
    "sources": {"errors", "model", "git"},
    "yaml_events": {"model"},
    "documents": {"model", "roles", "sources", "yaml_events", "_native"},
    "config": {"errors", "documents"},
    "files": set(),
    "lock": {"errors", "files", "tools"},
    "cache": {"files"},
    "verdicts": {"model"},
    "shards": {"errors", "model"},
    "ledger": {"model", "verdicts"},
    "quick": BASE | {"gate", "ledger", "render", "engines.admission", "engines.references"},
    "identity": {"config", "git"},
    "baseline": {"model", "config", "files"},
    "waivers": {"model", "roles", "documents", "sources", "config", "baseline"},
    "render": BASE | {"patterns"},
    "engines.schema": BASE,
    "engines.plaintext": BASE,
    # Which certificate sealed a value is no secret, but only `sealing` can read certificates.
    "engines.external": BASE | {"external", "fields"},
    "engines.sealed": BASE | {"hidden", "sealing", "sops"},
    "engines.references": BASE | {"sealing"},
    # Test cases of policies are read as resources stand in their files.
    "engines.rego": BASE | {"render"},
    # Constraints are Rego, and what they judge is in the form of resources.
    "engines.admission": BASE | {"render", "engines.rego"},
    "runs": BASE | {"hidden", "lock", "identity", "shards", "verdicts", "ledger", "quick", "gate", "engines.sealed"},
    "fields": {"errors", "model"},
    "patterns": set(),
    "cel": {"errors", "_native"},
    "labels": {"errors", "model"},
    "stores": {"errors", "hidden", "fields", "patterns"},
    "external": {
        "errors",
        "hidden",
        "labels",
        "model",
        "roles",
        "documents",
        "fields",
        "gotemplate",
        "patterns",
        "stores",
        "telling",
    },
    "pulls": BASE
    | {"applies", "artifacts", "cluster", "fields", "gate", "hidden", "lock", "reconciling", "render", "stores"},
    "applications": {
        "luahealth",
        "cluster",
        "errors",
        "fields",
        "gotemplate",
        "hidden",
        "labels",
        "model",
        "patterns",
        "reconciling",
        "telling",
    },
    "plans": {"applications", "cluster", "errors", "fields", "model", "reconciling"},
    "generating": BASE | {"fields", "applications", "artifacts", "cluster", "gate", "lock", "render", "stores"},
    "applies": {"errors", "fields", "hidden", "model", "reconciling", "cluster"},
    "audit": {"errors", "telling"},
    "controller": {
        "applications",
        "applies",
        "artifacts",
        "audit",
        "cluster",
        "config",
        "errors",
        "fields",
        "generating",
        "hidden",
        "labels",
        "luahealth",
        "model",
        "pulls",
        "reconciling",
        "sealing",
        "telling",
    }
    | {"documents", "external", "gate", "lock", "render", "report", "sources", "stores", "tools", "watching"},
    "artifacts": {"errors", "fields", "gotemplate", "hidden", "process", "stores", "tools"},
    "reconciling": {
        "cel",
        "errors",
        "fields",
        "labels",
        "telling",
        "hidden",
        "model",
        "cluster",
        "patterns",
        "process",
        "sops",
        "stores",
    },
    "reconciles": {"applies", "reconciling"},
    "telling": {"model"},
    "watching": {"external", "stores", "syncs"},
    "syncs": {"errors", "telling", "model", "external", "stores", "cluster"},
    "wishes": BASE | {"external", "fields", "render"},
    "past": {"errors", "git", "sops"},
    "belonging": {"git", "model"},
    "hidden": set(),
    "gotemplate": {"errors", "hidden", "process", "tools"},
    "luahealth": {"errors", "process", "tools"},
    "sealing": {"errors", "hidden", "model", "documents", "gotemplate"},
    "cluster": {"errors", "hidden", "model", "sealing", "stores"},
    "sops": {"errors", "hidden", "model", "roles", "documents", "patterns", "process", "tools", "files"},
    "report": {"model", "belonging"},
    "gate": BASE
    | {
        "render",
        "shards",
        "waivers",
        "changes",
        "engines.admission",
        "engines.schema",
        "engines.rego",
        "engines.plaintext",
        "engines.references",
        "engines.external",
        "engines.sealed",
    },
    "commands": BASE
    | {
        "hidden",
        "sealing",
        "sops",
        "cluster",
        "ledger",
        "quick",
        "lock",
        "cache",
        "identity",
        "verdicts",
        "shards",
        "changes",
        "baseline",
        "files",
        "render",
        "report",
        "gate",
    }
    | {
        "engines.rego",
        "engines.admission",
        "engines.references",
        "runs",
        "past",
        "external",
        "fields",
        "stores",
        "wishes",
        "syncs",
        "watching",
        "reconciles",
        "reconciling",
        "artifacts",
        "pulls",
        "applies",
        "audit",
        "controller",
        "applications",
        "generating",
        "plans",
    },
    "cli": {"errors", "commands"},
}


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def name_of(module: Path) -> str:
    parts = module.relative_to(ROOT / "gatekeeper").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(module: Path, only_at_load: bool = False) -> Iterator[str]:
    """The modules of the product that a module imports, as `render.plain`; at load: not those for types or in functions."""
    known = {name_of(other) for other in MODULES}
    nodes = tree(module).body if only_at_load else ast.walk(tree(module))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gatekeeper":
            base = (node.module or "").removeprefix("gatekeeper").lstrip(".")
            for alias in node.names:
                longer = f"{base}.{alias.name}".lstrip(".")
                yield longer if longer in known else base


def room_of(name: str) -> str:
    return next((room for room in (".".join(name.split(".")[:2]), name.split(".")[0]) if room in ROOMS), name)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_room_knows_only_the_rooms_that_it_may_know(module: Path) -> None:
    name = name_of(module)
    if name in ("", "__main__") or name.startswith("schemas") or name == "engines":
        return
    room = room_of(name)
    known = {room_of(other) for other in imports(module) if other} - {room}
    assert known <= ROOMS[room]


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = {name_of(module): set(imports(module, only_at_load=True)) for module in MODULES}
    while leaves := {name for name, others in edges.items() if not (others & edges.keys()) - {name}}:
        edges = {name: others for name, others in edges.items() if name not in leaves}
    assert edges == {}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_stay_small_and_say_what_they_are(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    if module.stat().st_size:
        assert ast.get_docstring(tree(module))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_FUNCTION_LINES, node.name
        if isinstance(node, ast.ExceptHandler) and name_of(module) not in OUTERMOST:
            catches_all = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            assert raises_again or not catches_all, f"line {node.lineno} catches everything"


def test_rooms_have_names_that_say_something() -> None:
    assert not {module.stem for module in MODULES} & {"utils", "util", "common", "helpers", "misc", "base", "manager"}
