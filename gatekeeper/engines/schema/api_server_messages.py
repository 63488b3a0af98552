"""Describes faults of the API server's validation in plain words, without the value, which may be a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, format_path, get_field
from gatekeeper.upstream.validation import ApiServerFault

# The API server repeats in a regular expression what it says in words.
REGULAR_EXPRESSION = compile_lazily(r", regex used for validation is '.*?'(?=\))")
PATH_STEP = compile_lazily(r"([^.\[\]]+)|\[([^\]]*)\]")
# Where the API server keeps the schema of a CustomResourceDefinition with one version.
CRD_SCHEMA = "spec.validation."
# Faults about the key of a field, not about its value.
KEY_FAULTS = {"UnknownField", "DuplicateField"}
# What comes after the field; {} is the API server's detail.
SENTENCES = {
    "FieldValueRequired": ("required field {field} is missing", "{field} is required: {detail}"),
    "FieldValueInvalid": ("{field} is invalid", "{field} is invalid: {detail}"),
    "FieldValueNotSupported": ("{field} has a value that is not supported", "{field} is not supported: {detail}"),
    "FieldValueDuplicate": ("{field} repeats a value that must be unique", "{field} is repeated: {detail}"),
    "FieldValueForbidden": ("{field} is not allowed", "{field} is not allowed: {detail}"),
    "FieldValueTooLong": ("{field} is too long", "{field} is too long: {detail}"),
    "FieldValueTooMany": ("{field} has too many items", "{field} has too many items: {detail}"),
    "FieldValueTypeInvalid": ("{field} has the wrong type", "{field} {detail}"),
    "FieldValueNotFound": ("{field} refers to something that does not exist", "{field} is not found: {detail}"),
    "UnknownField": ("unknown field {field}", "unknown field {field}: {detail}"),
    "DuplicateField": ("{field} is written twice", "{field} is written twice: {detail}"),
    "Undecodable": ("{field} cannot be decoded", "{field} cannot be decoded: {detail}"),
    "Warning": ("the API server warns of {field}", "the API server warns of {field}: {detail}"),
}
HINT = "correct it: the API server refuses to create the object"
WARNING_HINT = "the API server creates the object, and shows this warning"
ARGO_CD_FINALIZER = "-finalizer.argocd.argoproj.io"
CONSEQUENCE = "some validation rules were not checked because the object was invalid"


def describe_fault(fault: ApiServerFault, path: FieldPath) -> tuple[str, str]:
    """The message and the hint for a fault in the field at a path."""
    plain, detailed = SENTENCES.get(fault.type, ("{field} is refused", "{field} is refused: {detail}"))
    field = f"`{format_path(path)}`" if path else "the resource"
    detail = REGULAR_EXPRESSION.sub("", fault.detail)
    message = (detailed if detail else plain).format(field=field, detail=detail)
    return message, WARNING_HINT if fault.type == "Warning" else HINT


def is_irrelevant(fault: ApiServerFault) -> bool:
    """Whether a fault only says that others come first, or warns of a finalizer that Argo CD prescribes."""
    is_prescribed = fault.type == "Warning" and ARGO_CD_FINALIZER in fault.detail
    return fault.detail.startswith(CONSEQUENCE) or is_prescribed


def find_entry(fault: ApiServerFault, mapping: Any) -> FieldPath:
    """The key of the entry at fault in a mapping of labels or annotations; empty where it is not known."""
    if not fault.entry or not isinstance(mapping, dict):
        return ()
    found = [key for key, value in mapping.items() if fault.entry in (key, value)]
    return (found[0],) if found else ()


def resolve_path(text: str, value: Any) -> FieldPath:
    """The path that the API server writes as a text, such as `metadata.labels[a.b/c]` or `spec.ports[0].port`.

    Args:
        value: the object, which tells an index from a key, and a key with dots from several keys.
    """
    if text == "[]":
        # The size of a whole ConfigMap.
        return ()
    if text.startswith(CRD_SCHEMA) and get_field(value, ("spec", "versions", 0, "schema")) is not None:
        text = f"spec.versions[0].schema.{text.removeprefix(CRD_SCHEMA)}"
    steps = [(name or inner, bool(name)) for name, inner in PATH_STEP.findall(text)]
    path: list[str | int] = []
    while steps:
        step, taken = _resolve_step(steps, value)
        path.append(step)
        steps = steps[taken:]
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(path)


def _resolve_step(steps: Sequence[tuple[str, bool]], value: Any) -> tuple[str | int, int]:
    """The first step of a path in a value, and how many parts of the text it is written with."""
    first, is_dotted = steps[0]
    if not is_dotted:
        return (int(first) if first.isdecimal() and not isinstance(value, dict) else first), 1
    if isinstance(value, dict) and first not in value:
        for taken in range(2, len(steps) + 1):
            longer = ".".join(name for name, _ in steps[:taken])
            if longer in value:
                return longer, taken
    return first, 1
