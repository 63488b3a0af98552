"""Chart values in resources: as a mapping, as YAML text, or as parameters; merged as Helm merges them."""

from __future__ import annotations

import re
from typing import Any

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, Location, ParsedDocument, Resource, get_field
from gatekeeper.render.model import LocatedValues
from gatekeeper.workspace import documents

PARAMETER_WORDS = {"true": True, "false": False, "null": None}
# The first brace that is not escaped ends a list, and each comma that is not escaped ends an item.
PARAMETER_LIST = compile_lazily(r"\{(?:\\.|[^\\}])*\}", re.DOTALL)
PARAMETER_ITEM = compile_lazily(r"((?:\\.|[^\\,])*),", re.DOTALL)
PARAMETER_STEP = compile_lazily(r"((?:\\.|[^.\[\]\\])+)|\[(\d+)\]")


ValuesPart = tuple[Any, LocatedValues | None]
NO_VALUES: ValuesPart = ({}, None)


def locate_file_values(file: str, document: ParsedDocument) -> LocatedValues:
    """Parses the YAML of a values file."""

    def place(path: FieldPath) -> Location:
        return Location(file, *document.locate(path)[1:])

    return LocatedValues(documents.to_value(document), place)


def read_mapping(resource: Resource, path: FieldPath) -> ValuesPart:
    """Reads values that are a mapping in a resource."""
    values = get_field(resource.value, path)
    if not isinstance(values, dict):
        return NO_VALUES
    return values, LocatedValues(values, lambda inner: resource.origin.find_location((*path, *inner)))


def read_embedded_yaml(resource: Resource, path: FieldPath) -> ValuesPart:
    """Reads values that are YAML text in a resource."""
    values, written = parse_values(get_field(resource.value, path))
    if written is None:
        return NO_VALUES

    def place(steps: FieldPath) -> Location:
        block, line = resource.origin.find_location(path), written.find_location(steps).line
        return Location(block.file, block.line + line) if block.line and line else block

    return values, LocatedValues(values, place)


def parse_values(text: Any) -> ValuesPart:
    """Values in YAML text; locations count from its first line."""
    parsed_documents, failure = documents.parse(text.encode()) if isinstance(text, str) else ([], None)
    if not parsed_documents or failure is not None or not isinstance(documents.to_value(parsed_documents[0]), dict):
        return NO_VALUES
    return documents.to_value(parsed_documents[0]), locate_file_values("", parsed_documents[0])


def parse_parameters(entries: Any) -> ValuesPart:
    """Parses Argo CD's `parameters` (`helm template --set`); as arguments, other users of the machine could see them.

    Source: Helm `pkg/strvals`; of its syntax, names with dots, escaped dots and indices. Argo CD
    `util/helm/helm.go` (cleanSetParameters) escapes commas unless the value is in braces.
    """
    held: Any = {}
    for entry in entries if isinstance(entries, list) else ():
        name, value = get_field(entry, ("name",)), get_field(entry, ("value",))
        if isinstance(name, str) and isinstance(value, str | None):
            typed = _parse_parameter_value(value or "", bool(get_field(entry, ("forceString",))))
            steps = [
                int(index) if index else re.sub(r"\\(.)", r"\1", step) for step, index in PARAMETER_STEP.findall(name)
            ]
            held = _set_value(held, steps, typed)
    return (held, None) if held else NO_VALUES


def _parse_parameter_value(value: str, is_string: bool) -> Any:
    """The value of a parameter: a list if it is in braces, also with `forceString`, which types the items."""
    if not PARAMETER_LIST.fullmatch(value):
        return _convert_parameter(value, is_string)
    return [_convert_parameter(item, is_string) for item in PARAMETER_ITEM.findall(value[1:-1] + ",")]


def _convert_parameter(value: str, is_string: bool) -> Any:
    """Converts a value of `--set`: null, booleans and integers; everything else is a string."""
    value = re.sub(r"\\(.|$)", r"\1", value, flags=re.DOTALL)
    word = value.lower()
    if is_string or word not in PARAMETER_WORDS:
        is_number = not is_string and re.fullmatch(r"0|[-+]?[1-9]\d*|[-+]0\d*", value)
        return int(value) if is_number and -(2**63) <= int(value) < 2**63 else value
    return PARAMETER_WORDS[word]


def _set_value(target: Any, steps: list[str | int], value: Any) -> Any:
    if not steps:
        return value
    [first, *rest] = steps
    if isinstance(first, int):
        items = list(target) if isinstance(target, list) else []
        items += [None] * (first + 1 - len(items))
        items[first] = _set_value(items[first], rest, value)
        return items
    mapping = dict(target) if isinstance(target, dict) else {}
    mapping[first] = _set_value(mapping.get(first), rest, value)
    return mapping


def merge_values(base: Any, override: Any) -> Any:
    """Merges values as Helm does: mappings key by key, anything else is replaced."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return {**base, **{key: merge_values(base.get(key), value) for key, value in override.items()}}
