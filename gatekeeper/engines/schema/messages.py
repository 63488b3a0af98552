"""What a schema wants, in words for people; they never repeat the value, for it may be a secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, dotted

WORDS = {"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false", "null": "null"}  # fmt: skip
RULES = {"type": "type", "enum": "enum", "oneOf": "type", "anyOf": "type"}


class Told(NamedTuple):
    """One fault: the field, whether its key is meant, the rule behind `schema/`, and the words."""

    field: FieldPath
    is_key: bool
    rule: str
    words: str


def told(kind: Any, path: FieldPath, value: Any) -> Iterator[Told]:
    """What jsonschema-rs' error of a kind means for the value at a path; several unknown fields are one each."""
    if kind.name == "additionalProperties":
        for name in kind.unexpected:
            yield Told((*path, name), True, "unknown-field", f"unknown field `{dotted((*path, name))}`")
    elif kind.name == "required":
        field = (*path, kind.property)
        yield Told(field, False, "required", f"required field `{dotted(field)}` is missing")
    else:
        where = f"`{dotted(path)}`" if path else "the resource"
        yield Told(path, False, RULES.get(kind.name, "constraint"), f"{where} {_says(kind, value)}")


def _says(kind: Any, value: Any) -> str:
    if kind.name == "type":
        return f"must be {_either(kind.types)}, not {_word(value)}"
    if kind.name == "enum":
        return f"must be one of {', '.join(map(str, kind.options))}"
    if kind.name in ("oneOf", "anyOf"):
        types = [part.kind.types for option in kind.context for part in option if part.kind.name == "type"]
        if types and len(types) == len(kind.context):
            return f"must be {_either([word for part in types for word in part])}, not {_word(value)}"
        return "fits none of the forms that its schema allows"
    limit = getattr(kind, "limit", getattr(kind, "pattern", None))
    return f"breaks `{kind.name}`" + (f" ({limit})" if limit is not None else "")


def _either(types: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(WORDS.get(name, name) for name in types if name != "null"))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = ((dict, "a mapping"), (list, "a list"), (str, "a text"), (int, "a number"), (float, "a fraction"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")
