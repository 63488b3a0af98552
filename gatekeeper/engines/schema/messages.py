"""Describes JSON Schema errors without the value, which may be a secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, format_path
from gatekeeper.named_tuple import NamedTuple

TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
}
RULE_BY_KEYWORD = {"type": "type", "enum": "enum", "oneOf": "type", "anyOf": "type"}


class SchemaFault(NamedTuple):
    """One fault: the field, whether to locate its key, the rule after `schema/`, and the message."""

    field: FieldPath
    is_key: bool
    rule: str
    message: str


def describe_error(error_kind: Any, path: FieldPath, value: Any) -> Iterator[SchemaFault]:
    """Describe an error of jsonschema-rs for the value at a path; each unknown field is a separate fault."""
    if error_kind.name == "additionalProperties":
        for name in error_kind.unexpected:
            yield SchemaFault((*path, name), True, "unknown-field", f"unknown field `{format_path((*path, name))}`")
    elif error_kind.name == "required":
        field = (*path, error_kind.property)
        yield SchemaFault(field, False, "required", f"required field `{format_path(field)}` is missing")
    else:
        where = f"`{format_path(path)}`" if path else "the resource"
        yield SchemaFault(
            path,
            False,
            RULE_BY_KEYWORD.get(error_kind.name, "constraint"),
            f"{where} {_describe_violation(error_kind, value)}",
        )


def _describe_violation(error_kind: Any, value: Any) -> str:
    if error_kind.name == "type":
        return f"must be {_join_types(error_kind.types)}, not {_describe_type(value)}"
    if error_kind.name == "enum":
        return f"must be one of {', '.join(map(str, error_kind.options))}"
    if error_kind.name in ("oneOf", "anyOf"):
        types = [part.kind.types for option in error_kind.context for part in option if part.kind.name == "type"]
        if types and len(types) == len(error_kind.context):
            return f"must be {_join_types([word for part in types for word in part])}, not {_describe_type(value)}"
        return "does not match any form that its schema permits"
    limit = getattr(error_kind, "limit", getattr(error_kind, "pattern", None))
    return f"violates `{error_kind.name}`" + (f" ({limit})" if limit is not None else "")


def _join_types(types: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(TYPE_NAMES.get(name, name) for name in types if name != "null"))


def _describe_type(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds = ((dict, "a mapping"), (list, "a list"), (str, "a string"), (int, "an integer"), (float, "a number"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")
