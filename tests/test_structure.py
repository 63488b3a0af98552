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

# Where an unexpected exception ends: the program, a worker, an HTTP answer. It is reported there without its values.
OUTERMOST = {"cli", "controller.runtime.worker", "controller.runtime.http_server"}
# Packages, lowest first: each may import only packages of its own layer and of the layers above it in this table.
LAYERS = (
    {"errors", "model", "protocols", "secret_value", "_native"},
    {"kube", "host", "gocompat"},
    {"workspace", "report", "stores", "repositories"},
    {"config", "sealedsecrets", "sops"},
    {"render", "cluster"},
    {"apply", "externalsecrets"},
    {"engines"},
    {"gate"},
    {"flux"},
    {"argocd"},
    {"controller"},
    {"terminal"},
    {"commands"},
    {"cli"},
)
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


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


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_lower_layers(module: Path) -> None:
    name = name_of(module)
    if name in ("", "__main__") or name.startswith("schemas"):
        return
    room = name.split(".")[0]
    known = {other.split(".")[0] for other in imports(module) if other} - {room}
    assert {other for other in known if LAYER_OF[other] > LAYER_OF[room]} == set()


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
