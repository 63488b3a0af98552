"""The JSON Schemas of `gatekeeper.yaml`, of the waiver file and of `gatekeeper.lock`, and what in a file breaks them.

The strict readers of these files are fast, and say only that a file is wrong. What is wrong in it, where, and what may
have been meant, is found here; so only files with an error wait for the `jsonschema` package to load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from jsonschema.exceptions import ValidationError

from gatekeeper.errors import UsageError
from gatekeeper.model import FieldPath, ParsedDocument, format_path
from gatekeeper.workspace import documents

SCHEMA_FOLDER = Path(__file__).parent.parent / "schemas" / "config"
SCHEMA_NAMES = ("gatekeeper", "waivers", "lock")
TYPE_NAMES = {
    "array": "a list",
    "boolean": "a boolean",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}


def read_schema(name: str) -> bytes:
    """A schema as JSON text.

    Raises:
        UsageError: there is no schema of this name.
    """
    if name not in SCHEMA_NAMES:
        raise UsageError(f"no schema `{name}`{suggest(name, SCHEMA_NAMES)}; there are {', '.join(SCHEMA_NAMES)}")
    return (SCHEMA_FOLDER / f"{name}.schema.json").read_bytes()


def suggest(word: str, known: Collection[str], path: FieldPath = ()) -> str:
    """A suggestion for a misspelled word, to follow an error message; empty if no known word is similar.

    Args:
        path: of the mapping that the word is a key of.
    """
    # Only a message about a mistake needs it.
    import difflib

    matches = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean `{format_path((*path, matches[0]))}`?" if matches else ""


def explain(name: str, text: bytes, file: str) -> str:
    """What in a file breaks its schema: a line for each error, with line, column and a suggestion.

    Args:
        name: of the schema.
        file: the name of the file in messages.

    Returns:
        An empty text if the file breaks no rule of the schema.
    """
    parsed, failure = documents.parse(text)
    if failure is not None:
        return f"{file}:{failure[1]}:{failure[2]}: not valid YAML or JSON: {failure[0]}"
    if not parsed:
        return ""
    errors = find_errors(name, parsed[0])
    return "\n".join(f"{file}:{line}:{column}: {message}" for line, column, message in errors)


def find_errors(name: str, document: ParsedDocument) -> list[tuple[int, int, str]]:
    """The errors of a document against a schema, in the order of the file: line, column and message."""
    schema = orjson.loads(read_schema(name))
    checker = jsonschema.FormatChecker(formats=["date"])
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    errors = set[tuple[int, int, str]]()
    for error in validator.iter_errors(documents.to_value(document)):
        for path, is_key, message in _describe_error(error, schema):
            _, line, column = document.locate(path, key=is_key)
            errors.add((line, column, message))
    return sorted(errors)


def _describe_error(error: ValidationError, schema: dict[str, Any]) -> Iterator[tuple[FieldPath, bool, str]]:
    path: FieldPath = tuple(error.absolute_path)
    name = format_path(path)
    subject = f"`{name}`" if name else "the file"
    value, rule, expected = error.instance, str(error.validator), error.validator_value
    if rule == "additionalProperties" and expected is False:
        known = error.schema.get("properties", {})
        for key in value.keys() - known.keys():
            yield (*path, key), True, _describe_unknown(path, key, known, schema)
        return
    if rule == "required":
        missing = next(key for key in expected if key not in value)
        yield path, False, f"{subject} has no `{missing}`; add it{_format_example(error.schema, missing)}"
        return
    yield path, False, f"{subject} {_describe_value(error, value, rule, expected)}"


def _describe_value(error: ValidationError, value: Any, rule: str, expected: Any) -> str:
    if rule == "type":
        types = [expected] if isinstance(expected, str) else expected
        if "array" in types and error.schema["items"].get("type") == "string":
            return "must be a list of strings"
        # Numbers and booleans are texts without quotes.
        return f"must be {TYPE_NAMES['string' if 'string' in types else types[0]]}"
    if rule == "enum":
        is_unquoted = isinstance(value, bool)
        hint = "; quote it: without quotes it is a boolean" if is_unquoted else suggest(str(value), expected)
        return f"is {value!r}; it can be {' or '.join(expected)}{hint}"
    if rule == "const":
        return f"must be `{expected}`"
    if rule == "exclusiveMinimum":
        return f"must be a number above {expected}"
    if rule == "maximum":
        return f"must be a number up to {expected:,}"
    examples = error.schema.get("examples") or ()
    return f"is {value!r}; write it as {examples[0]}" if examples else "is not valid"


def _describe_unknown(path: FieldPath, key: str, known: dict[str, Any], schema: dict[str, Any]) -> str:
    """An unknown setting, with the one that may have been meant: here, or in another section."""
    elsewhere = [
        f"{section}.{key}" for section, part in schema["properties"].items() if key in part.get("properties", {})
    ]
    hint = f"; did you mean `{elsewhere[0]}`?" if elsewhere and not path else suggest(key, known, path)
    hint = hint or f"; known are {', '.join(sorted(known))}"
    return f"unknown setting `{format_path((*path, key))}`{hint}"


def _format_example(schema: dict[str, Any], key: str) -> str:
    examples = schema.get("properties", {}).get(key, {}).get("examples") or ()
    return f", such as `{key}: {examples[0]}`" if examples else ""
