"""Values for charts that stand in resources: as a mapping, as a text, or as parameters; merged as Helm merges them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, Place, Resource, at
from gatekeeper.protocols import Positions
from gatekeeper.workspace import documents

STEP = re.compile(r"((?:\\.|[^.\[\]\\])+)|\[(\d+)\]")


class Written(NamedTuple):
    """Values, and the place of each of them."""

    value: Any
    place: Callable[[FieldPath], Place]


Part = tuple[Any, Written | None]
NOTHING: Part = ({}, None)


def in_file(file: str, document: Positions) -> Written:
    """The values of a file."""

    def place(path: FieldPath) -> Place:
        return Place(file, *document.locate(path)[1:])

    return Written(documents.value_of(document), place)


def part(resource: Resource, path: FieldPath) -> Part:
    """Values that a resource holds as a mapping."""
    held = at(resource.value, path)
    if not isinstance(held, dict):
        return NOTHING
    return held, Written(held, lambda inner: resource.origin.place((*path, *inner)))


def inner(resource: Resource, path: FieldPath) -> Part:
    """Values that a resource holds as a text of YAML."""
    held, written = text(at(resource.value, path))
    if written is None:
        return NOTHING

    def place(steps: FieldPath) -> Place:
        block, line = resource.origin.place(path), written.place(steps).line
        return Place(block.file, block.line + line) if block.line and line else block

    return held, Written(held, place)


def text(held: Any) -> Part:
    """Values as a text of YAML, with places that count from its first line."""
    found, failure = documents.parse(held.encode()) if isinstance(held, str) else ([], None)
    if not found or failure is not None or not isinstance(documents.value_of(found[0]), dict):
        return NOTHING
    return documents.value_of(found[0]), in_file("", found[0])


def parameters(entries: Any) -> Part:
    """Argo CD's `parameters`, which are `helm template --set`: never passed as arguments, where others could see them.

    Source: Helm `pkg/strvals`; of its syntax, names with dots, escaped dots and indices.
    """
    held: Any = {}
    for entry in entries if isinstance(entries, list) else ():
        name, value = at(entry, ("name",)), at(entry, ("value",))
        if isinstance(name, str) and isinstance(value, str):
            typed = value if at(entry, ("forceString",)) else _typed(value)
            steps = [int(index) if index else re.sub(r"\\(.)", r"\1", step) for step, index in STEP.findall(name)]
            held = _set(held, steps, typed)
    return (held, None) if held else NOTHING


def _typed(value: str) -> Any:
    """`--set` knows null, booleans and whole numbers; all else is a text."""
    if value in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[value]
    return int(value) if re.fullmatch(r"0|-?[1-9]\d{0,17}", value) else value


def _set(held: Any, steps: list[str | int], value: Any) -> Any:
    if not steps:
        return value
    [first, *rest] = steps
    if isinstance(first, int):
        items = list(held) if isinstance(held, list) else []
        items += [None] * (first + 1 - len(items))
        items[first] = _set(items[first], rest, value)
        return items
    mapping = dict(held) if isinstance(held, dict) else {}
    mapping[first] = _set(mapping.get(first), rest, value)
    return mapping


def merged(below: Any, above: Any) -> Any:
    """Mappings merged key by key, all else replaced, as Helm coalesces values."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
