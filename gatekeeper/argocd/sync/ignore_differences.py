"""`ignoreDifferences`: fields that may differ from Git without being drift, by pointer, jq or field manager.

Source: argo-cd `docs/user-guide/diffing.md`, `util/argo/normalizers`; RFC 6901; Kubernetes' `fieldsV1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.application_spec import IgnoreDifference
from gatekeeper.argocd.glob import matches
from gatekeeper.errors import SpecError
from gatekeeper.flux import ignore_rules
from gatekeeper.gocompat.client import GoFault
from gatekeeper.model import Object, get_field
from gatekeeper.secret_value import SecretBytes
from gatekeeper.upstream.expressions import FieldRemoval, remove_fields


def select_rules(value: Object, rules: Sequence[IgnoreDifference]) -> list[IgnoreDifference]:
    """Select the rules that match an object."""
    entry = entry_of(value)
    return [rule for rule in rules if _matches_entry(rule, entry)]


def _matches_entry(rule: IgnoreDifference, entry: InventoryEntry) -> bool:
    is_named = rule.name in ("", entry.name) and rule.namespace in ("", entry.namespace)
    return is_named and matches(rule.group or "", entry.group) and matches(rule.kind, entry.kind)


def remove_ignored_fields(value: Object, rules: Sequence[IgnoreDifference], live: Object | None) -> Object:
    """Return an object without its ignored fields.

    Args:
        rules: those that match the object.
        live: the live object, whose `managedFields` say who has set which field.

    Raises:
        SpecError: an expression is not valid jq, or takes too long.
        ToolError: the jq program is not built or failed.
    """
    if not rules:
        return value
    remaining = ignore_rules.remove_pointers(value, [pointer for rule in rules for pointer in rule.pointers])
    for rule in rules:
        for entry in get_field(live, ("metadata", "managedFields")) or () if rule.managers else ():
            if entry.get("manager") in rule.managers:
                _delete_managed_fields(remaining, entry.get("fieldsV1") or {})
    expressions = tuple(expression for rule in rules for expression in rule.expressions)
    return _delete_by_jq(remaining, expressions) if expressions else remaining


def _delete_by_jq(value: Object, expressions: tuple[str, ...]) -> Object:
    answer = remove_fields(FieldRemoval(SecretBytes(orjson.dumps(value)), expressions))
    if isinstance(answer, GoFault):
        raise SpecError(f"`spec.ignoreDifferences`: {answer.reason}")
    remaining: Object = orjson.loads(answer.reveal())
    return remaining


def _delete_managed_fields(value: Any, managed_fields: Mapping[str, Any]) -> None:
    """Delete a `fieldsV1` set: `f:` is a field, `k:` a list element by its keys, `v:` a list element by its value."""
    for key, nested in managed_fields.items():
        prefix, _, name = key.partition(":")
        if prefix == "f" and isinstance(value, dict) and name in value:
            if nested and isinstance(value[name], dict | list):
                _delete_managed_fields(value[name], nested)
            else:
                value.pop(name)
        elif prefix == "k" and isinstance(value, list):
            keys = orjson.loads(name)
            for element in [item for item in value if isinstance(item, dict) and keys.items() <= item.items()]:
                if "." in nested:
                    value.remove(element)
                else:
                    _delete_managed_fields(element, nested)
        elif prefix == "v" and isinstance(value, list) and orjson.loads(name) in value:
            value.remove(orjson.loads(name))


def keep_ignored_fields(value: Object, rules: Sequence[IgnoreDifference], live: Object | None) -> Object:
    """Return an object whose ignored fields have the values of the live object.

    Raises:
        SpecError, ToolError: see `remove_ignored_fields`.
    """
    if live is None or not rules:
        return value
    adjusted: Object = ignore_rules.keep_live_fields(value, remove_ignored_fields(value, rules, live), live)
    return adjusted
