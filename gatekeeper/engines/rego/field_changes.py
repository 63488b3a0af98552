"""Changes of a resource for the field tracer: parts removed, leaves changed, missing fields added."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import islice
from typing import Any

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, get_field

INPUT_REFERENCE = compile_lazily(r"\binput((?:\.\w+|\[[^\]\n]*\])+)")
REFERENCE_STEP = compile_lazily(r"\.(\w+)|\[\"([^\"]*)\"\]|\[([^\]]*)\]")
# Rules select resources by these fields and mention them. Without them a rule finds nothing, but they are no cause.
IDENTITY_PATHS: set[FieldPath] = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
MAX_CHILDREN = 200


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


# Changed values for the leaves of a part. Each keeps different texts different, so that no two messages become one.
LEAF_REPLACEMENTS: tuple[Callable[[Any], Any], ...] = (
    # Fails comparisons and prefix or suffix tests of texts; the opposite of booleans.
    lambda leaf: f"gk{leaf}gk" if isinstance(leaf, str) else not leaf if isinstance(leaf, bool) else leaf,
    # Satisfies rules that want an image tag or a port; exceeds a lower limit of numbers.
    lambda leaf: f"gk-{leaf}:1.0" if isinstance(leaf, str) else leaf + 10**6 if _is_number(leaf) else leaf,
    # Satisfies rules that want an image digest; falls below an upper limit of numbers.
    lambda leaf: f"{leaf}@sha256:{'0' * 64}" if isinstance(leaf, str) else leaf - 10**6 if _is_number(leaf) else leaf,
)
# Values to add where a field is missing: one of each type that rules test for.
PROBE_VALUES: tuple[Any, ...] = ("gk", True, 1, {"gk": "gk"})


def list_parts(value: Any, path: FieldPath) -> list[FieldPath]:
    """Lists the parts one level below a path, without those that only identify the resource."""
    value = get_field(value, path)
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return list(islice(((*path, step) for step in steps if (*path, step) not in IDENTITY_PATHS), MAX_CHILDREN))


def has_path(value: Any, path: FieldPath) -> bool:
    """Whether a value has something at a path, null included."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _copy_along_path(value: Any, path: FieldPath) -> tuple[Any, Any]:
    """Copies a value along a path, and returns the copy and the collection in it that has the last step of the path.

    All other parts of the value are shared, not copied.
    """
    root = copy.copy(value)
    inner = root
    for step in path[:-1]:
        inner[step] = copy.copy(inner[step])
        inner = inner[step]
    return root, inner


def remove_path(value: Any, path: FieldPath) -> Any:
    """Returns a value without the part at a path; of `metadata` the name and the namespace stay."""
    root, inner = _copy_along_path(value, path)
    removed = inner.pop(path[-1])
    if path == ("metadata",) and isinstance(removed, dict):
        inner["metadata"] = {key: removed[key] for key in ("name", "namespace") if key in removed}
    return root


def build_leaf_change(replace_leaf: Callable[[Any], Any]) -> Callable[[Any, FieldPath], Any]:
    """Builds a change that replaces all leaves below a path, except those that identify the resource."""

    def change_leaves(value: Any, path: FieldPath) -> Any:
        if isinstance(value, dict):
            return {key: change_leaves(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [change_leaves(item, (*path, index)) for index, item in enumerate(value)]
        return value if path in IDENTITY_PATHS else replace_leaf(value)

    def change(value: Any, path: FieldPath) -> Any:
        root, inner = _copy_along_path(value, path)
        inner[path[-1]] = change_leaves(inner[path[-1]], path)
        return root

    return change


def build_addition(added: Any) -> Callable[[Any, FieldPath], Any]:
    """Builds a change that adds a value at a path, with the mappings on the way to it."""

    def add(value: Any, path: FieldPath) -> Any:
        [first, *rest] = path
        if isinstance(first, int) or not isinstance(value, dict):
            return value
        inner = add(value.get(first, {}), tuple(rest)) if rest else added
        return {**value, first: inner}

    return add


def list_read_paths(rego: str) -> list[FieldPath]:
    """Lists the paths of `input` that a module reads, each once, in their order."""
    paths = map(_parse_reference, INPUT_REFERENCE.findall(rego))
    return [path for path in dict.fromkeys(paths) if path]


def _parse_reference(reference: str) -> FieldPath:
    """Parses a reference such as `.spec.containers[_].image` to a path; a variable is the first item."""
    path: FieldPath = ()
    for name, quoted, index in REFERENCE_STEP.findall(reference):
        step: str | int = name or quoted
        path = (*path, step if step and not index else int(index) if index.isdigit() else 0)
    return path
