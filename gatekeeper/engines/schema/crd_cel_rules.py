"""Recognizes faults of CEL rules in CRDs (`x-kubernetes-validations`) among those of the API server's validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.model import FieldPath, format_path
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.validation import ApiServerFault

# The values of `reason` of a rule.
REASONS = {"FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"}
KEYWORD = "x-kubernetes-validations"


class CelRule(NamedTuple):
    """A rule for a field; `has_expression` tells that its message is computed."""

    expression: str
    message: str
    has_expression: bool


def has_rules(definition: bytes) -> bool:
    """Whether a definition (JSON) has CEL rules."""
    return KEYWORD.encode() in definition


def find_rule(kind: CustomKind | None, path: FieldPath, fault: ApiServerFault) -> CelRule | None:
    """The rule that a fault in the field at a path comes from; None if it comes from none.

    Source: apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go`.
    """
    if kind is None or kind.schema is None or fault.type not in REASONS:
        return None
    rules = list(_list_rules(kind.schema, path))
    for rule in rules:
        if fault.detail in (rule.message, f"failed rule: {rule.expression}"):
            return rule
    # The texts of the schema's other keywords are known, those of expressions are not.
    is_schema_text = " in body " in fault.detail
    return next((rule for rule in rules if rule.has_expression and not is_schema_text), None)


def _list_rules(schema: dict[str, Any], path: FieldPath) -> Iterator[CelRule]:
    """The rules of a field, and those of the fields around it that name it in `fieldPath`."""
    node: Any = schema
    for depth in range(len(path) + 1):
        if not isinstance(node, dict):
            return
        rest = path[depth:]
        for rule in node.get(KEYWORD) or ():
            if str(rule.get("fieldPath") or "").lstrip(".") == (format_path(rest) if rest else ""):
                message, expression = str(rule.get("message") or "").strip(), str(rule.get("rule")).strip()
                yield CelRule(expression, message, bool(rule.get("messageExpression")))
        if rest:
            node = _descend(node, rest[0])


def _descend(node: dict[str, Any], step: str | int) -> Any:
    if isinstance(step, int):
        return node.get("items")
    properties = node.get("properties")
    if isinstance(properties, dict) and step in properties:
        return properties[step]
    return node.get("additionalProperties")
