"""The structure of the package: layers, import graph, sizes, names, and what public functions document."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gatekeeper"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_POSITIONAL = 5
MAX_MODULES_PER_PACKAGE = 20
# The figures below only go down: lower them when the structure allows it.
MAX_IMPORTS_PER_MODULE = 5.25
MAX_IMPORT_CHAIN = 16

# Where an unexpected exception ends: the program, a worker, an HTTP answer. It is reported there without its values.
# `host.background` raises what it caught in the thread that waits for the result.
OUTERMOST = {"cli", "controller.runtime.worker", "controller.runtime.http_server", "host.background"}
# Packages, lowest first: each may import only packages of its own layer and of the layers above it in this table.
LAYERS = (
    {"errors", "file_names", "model", "named_tuple", "protocols", "secret_value", "_native"},
    {"kube", "host", "gocompat", "sources"},
    {"config"},
    {"workspace", "report", "repositories", "upstream"},
    {"sealedsecrets", "sops"},
    {"render", "cluster"},
    {"apply", "fetch", "stores"},
    {"externalsecrets"},
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
# Modules of the package that import others of it inside functions: a command, an engine or a report loads only what it
# runs, because the commit hook has a fifth of a second. Packages by name, single modules by their dotted name.
LATE_IMPORTS = {
    "cli",
    "commands",
    "engines.admission.engine",
    "engines.encrypted.certificates",
    "engines.encrypted.decryption_check",
    "engines.rego.bundles.resolver",
    "engines.rego.evaluation",
    "engines.secret_access.engine",
    "gate.waivers",
    "report.formats",
    "workspace.config_loader",
    "workspace.documents",
    "workspace.lockfile",
}
# Modules that are used instead of `typing` and `re`, whose imports are not counted either.
STAND_INS = {"named_tuple", "host.lazy_pattern"}
# Modules that walk folders by themselves; each says why it does not use `workspace.tree.list_files_below`.
WALKERS = {
    "commands.init",
    "gate.cache_key",
    "host.git_blobs",
    "render.helm.helm_template",
    "repositories.git_fetch",
    "upstream.kustomization_files",
    "workspace.file_selection",
    "workspace.tree",
}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "misc", "base", "manager", "every", "asking", "told", "wishes"}


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def name_of(module: Path) -> str:
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMES = {name_of(module) for module in MODULES}


def imports(module: Path) -> Iterator[str]:
    """The modules of the package that a module imports anywhere: at load, for types only, and inside functions."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gatekeeper":
            base = (node.module or "").removeprefix("gatekeeper").lstrip(".")
            for alias in node.names:
                longer = f"{base}.{alias.name}".lstrip(".")
                yield longer if longer in NAMES else base


@cache
def graph() -> dict[str, frozenset[str]]:
    """Each module with the modules that it imports."""
    return {name_of(module): frozenset(imports(module)) - {name_of(module), ""} for module in MODULES}


@cache
def chain_from(name: str) -> int:
    """The number of modules on the longest chain of imports that begins at a module."""
    return 1 + max((chain_from(other) for other in graph().get(name, ()) if other in NAMES), default=0)


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module, nested ones too."""
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def variadic_functions() -> frozenset[str]:
    """The names of the functions of the package that take any number of positional arguments."""
    return frozenset(
        function.name for module in MODULES for function in functions(module) if function.args.vararg is not None
    )


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_lower_layers(module: Path) -> None:
    name = name_of(module)
    if name in ("", "__main__") or name.startswith("schemas"):
        return
    room = name.split(".")[0]
    known = {other.split(".")[0] for other in imports(module) if other} - {room}
    assert {other for other in known if LAYER_OF[other] > LAYER_OF[room]} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = dict(graph())
    while leaves := {name for name, others in edges.items() if not (others & edges.keys()) - {name}}:
        edges = {name: others for name, others in edges.items() if name not in leaves}
    assert edges == {}


def test_modules_import_few_others() -> None:
    written = [module for module in MODULES if module.stat().st_size]
    average = sum(len(others - STAND_INS) for others in graph().values()) / len(written)
    assert average <= MAX_IMPORTS_PER_MODULE


def test_chains_of_imports_stay_short() -> None:
    longest = max(NAMES, key=chain_from)
    assert chain_from(longest) <= MAX_IMPORT_CHAIN, longest


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_inside_functions_have_a_reason(module: Path) -> None:
    """Each late import has a comment that says why; those of our own modules are listed above."""
    lines = module.read_text(encoding="utf-8").splitlines()
    for function in functions(module):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                where = f"{module.relative_to(ROOT)}:{node.lineno}"
                is_ours = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gatekeeper"
                name = name_of(module)
                assert not is_ours or {name, name.split(".")[0]} & LATE_IMPORTS, where
                block = node.lineno - 1
                while block and lines[block - 1].lstrip().startswith(("from ", "import ")):
                    block -= 1
                commented = "#" in lines[node.lineno - 1] or (block and lines[block - 1].lstrip().startswith("#"))
                assert commented, f"{where}: say in a comment why this import is inside a function"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_are_small_and_documented(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    if module.stat().st_size:
        assert ast.get_docstring(tree(module))
    for function in functions(module):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


def count_positional_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The parameters that a call may give by position, without `self` and `cls`."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_functions_take_few_arguments_by_position(module: Path) -> None:
    """More than five arguments go by keyword, or in one value; only functions with `*arguments` take as many words."""
    for function in functions(module):
        assert count_positional_parameters(function) <= MAX_POSITIONAL, f"{function.name}: line {function.lineno}"
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and len(node.args) > MAX_POSITIONAL:
            name = ast.unparse(node.func).rpartition(".")[2]
            assert name in variadic_functions(), f"{name}: line {node.lineno}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_only_the_outermost_modules_catch_everything(module: Path) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ExceptHandler) and name_of(module) not in OUTERMOST:
            catches_all = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            assert raises_again or not catches_all, f"line {node.lineno} catches everything"


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from own_nodes(child)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_public_functions_document_what_they_raise(module: Path) -> None:
    undocumented = []
    public = [node for node in tree(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    classes = [node for node in public if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    members = [member for scope in classes for member in scope.body]
    for node in [*public, *members]:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            raises = any(isinstance(inner, ast.Raise) and inner.exc is not None for inner in own_nodes(node))
            if raises and "Raises:" not in (ast.get_docstring(node) or ""):
                undocumented.append(f"{node.name} (line {node.lineno})")
    assert undocumented == []


def test_packages_are_not_crowded() -> None:
    sizes: dict[Path, int] = {}
    for module in MODULES:
        if module.stem != "__init__":
            sizes[module.parent] = sizes.get(module.parent, 0) + 1
    names = {folder.relative_to(PACKAGE).as_posix(): size for folder, size in sizes.items()}
    assert {name: size for name, size in names.items() if size > MAX_MODULES_PER_PACKAGE} == {}


def test_modules_have_names_that_say_something() -> None:
    assert not {module.stem for module in MODULES} & FORBIDDEN_NAMES


def test_folders_of_users_are_walked_in_one_place() -> None:
    walkers = {
        name_of(module)
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr in ("walk", "rglob", "scandir", "fwalk")
        if not (isinstance(node.value, ast.Name) and node.value.id == "ast")
    }
    assert walkers == WALKERS


def test_class_names_are_unique_in_the_product() -> None:
    seen: dict[str, list[str]] = {}
    for module in MODULES:
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                seen.setdefault(node.name, []).append(name_of(module))
    assert {name: places for name, places in seen.items() if len(places) > 1} == {}


def has_behaviour(module: Path) -> bool:
    """Whether a module has a function that does something: one with more than a docstring.

    A module without any only defines types and constants, such as protocols and named tuples.
    """
    bodies = (function.body for function in functions(module))
    return any(not isinstance(node, ast.Expr) for body in bodies for node in body)


def test_modules_have_test_files_of_their_names() -> None:
    """`tests/` mirrors `gatekeeper/`: each module with behaviour has a file of its own there."""
    missing = [
        name_of(module)
        for module in MODULES
        if not module.stem.startswith("__")
        and has_behaviour(module)
        and not (ROOT / "tests" / module.relative_to(PACKAGE).with_name(f"test_{module.name}")).is_file()
    ]
    assert missing == []
