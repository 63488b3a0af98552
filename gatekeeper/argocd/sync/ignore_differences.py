"""Fields that may differ from Git without being drift: `ignoreDifferences`, by pointer, by jq, and by who set them.

Source: argo-cd `docs/user-guide/diffing.md`, `util/argo/normalizers`; RFC 6901; Kubernetes' `fieldsV1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.application_spec import IgnoreDifference
from gatekeeper.argocd.glob import matches
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.errors import SpecError
from gatekeeper.flux import ignore_rules
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import FieldRemoval, GoFault
from gatekeeper.model import get_field
from gatekeeper.secret_value import SecretBytes


def select_rules(value: Object, rules: Sequence[IgnoreDifference]) -> list[IgnoreDifference]:
    """Which of the rules are about an object."""
    return [one for one in rules if _matches_entry(one, entry_of(value))]


def _matches_entry(rule: IgnoreDifference, entry: InventoryEntry) -> bool:
    named = rule.name in ("", entry.name) and rule.namespace in ("", entry.namespace)
    return named and matches(rule.group or "", entry.group) and matches(rule.kind, entry.kind)


def remove_ignored_fields(value: Object, rules: Sequence[IgnoreDifference], live: Object | None) -> Object:
    """An object without the fields that may differ.

    Args:
        rules: those that are about it.
        live: what is in the cluster, which says who has set what.

    Raises:
        SpecError: an expression is no jq, or takes too long.
        ToolError: it cannot be asked.
    """
    if not rules:
        return value
    found = ignore_rules.remove_pointers(value, [pointer for rule in rules for pointer in rule.pointers])
    for rule in rules:
        for entry in get_field(live, ("metadata", "managedFields")) or () if rule.managers else ():
            if entry.get("manager") in rule.managers:
                _delete_managed_fields(found, entry.get("fieldsV1") or {})
    expressions = tuple(text for rule in rules for text in rule.expressions)
    return _delete_by_jq(found, expressions) if expressions else found


def _delete_by_jq(value: Object, expressions: tuple[str, ...]) -> Object:
    answer = client.remove_fields(FieldRemoval(SecretBytes(orjson.dumps(value)), expressions))
    if isinstance(answer, GoFault):
        raise SpecError(f"`spec.ignoreDifferences`: {answer.reason}")
    found: Object = orjson.loads(answer.reveal())
    return found


def _delete_managed_fields(value: Any, managed_fields: Mapping[str, Any]) -> None:
    """Takes away the fields of a set: `f:` is a field, `k:` an element by its keys, `v:` one by its value."""
    for key, inner in managed_fields.items():
        kind, _, name = key.partition(":")
        if kind == "f" and isinstance(value, dict) and name in value:
            if inner and isinstance(value[name], dict | list):
                _delete_managed_fields(value[name], inner)
            else:
                value.pop(name)
        elif kind == "k" and isinstance(value, list):
            keys = orjson.loads(name)
            for one in [one for one in value if isinstance(one, dict) and keys.items() <= one.items()]:
                if "." in inner:
                    value.remove(one)
                else:
                    _delete_managed_fields(one, inner)
        elif kind == "v" and isinstance(value, list) and orjson.loads(name) in value:
            value.remove(orjson.loads(name))


def keep_ignored_fields(value: Object, rules: Sequence[IgnoreDifference], live: Object | None) -> Object:
    """An object in which the fields that may differ are as they are in the cluster.

    Raises:
        SpecError, ToolError: see `without`.
    """
    if live is None or not rules:
        return value
    found: Object = ignore_rules.keep_live_fields(value, remove_ignored_fields(value, rules, live), live)
    return found
