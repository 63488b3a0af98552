"""Describes errors of JSON Schema in plain words, without the value, which may be a secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, format_path

TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
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
    """What jsonschema-rs' error of a kind means for the value at a path; several unknown fields are one each."""
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
        return "fits none of the forms that its schema allows"
    limit = getattr(error_kind, "limit", getattr(error_kind, "pattern", None))
    return f"breaks `{error_kind.name}`" + (f" ({limit})" if limit is not None else "")


def _join_types(types: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(TYPE_NAMES.get(name, name) for name in types if name != "null"))


def _describe_type(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = ((dict, "a mapping"), (list, "a list"), (str, "a text"), (int, "a number"), (float, "a fraction"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")
