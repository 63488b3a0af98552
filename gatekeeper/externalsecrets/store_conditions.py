"""Which namespaces may use a ClusterSecretStore: its `spec.conditions`, evaluated for `check` and for `sync`.

Source: external-secrets `pkg/controllers/secretstore/client_manager.go` (`shouldProcessSecret`): one matching condition
is enough; a condition matches by the labels, the name, or a regular expression (RE2) on the name of the namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.gocompat import regexp
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, is_selected
from gatekeeper.model import Labels, get_field
from gatekeeper.named_tuple import NamedTuple

SELECTOR_FIELD = "namespaceSelector"


class StoreAccess(Enum):
    """Whether a namespace may use a store, from the best answer to the worst."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"
    """The result depends on labels of the namespace, which are unknown."""
    DENIED = "denied"
    INVALID = "invalid"
    """The conditions cannot be evaluated; external-secrets cannot evaluate them either."""


class AccessDecision(NamedTuple):
    """The result for one store and one namespace; `reason` is empty if the store may be used."""

    access: StoreAccess
    reason: str = ""


def evaluate_conditions(store: Any, namespace: str, labels: Labels | None) -> AccessDecision:
    """Decides by the conditions of a ClusterSecretStore whether a namespace may use it.

    Args:
        store: the ClusterSecretStore as a mapping; anything without `spec.conditions` is open to every namespace.
        labels: the labels of the namespace; None if they are not known.
    """
    conditions = get_field(store, ("spec", "conditions"))
    if not isinstance(conditions, list) or not conditions:
        return AccessDecision(StoreAccess.ALLOWED)
    has_unknown = False
    for condition in conditions:
        try:
            is_match = _is_condition_match(condition, namespace, labels)
        except PolicyError as error:
            return AccessDecision(StoreAccess.INVALID, f"its `conditions` are invalid: {error}")
        if is_match:
            return AccessDecision(StoreAccess.ALLOWED)
        has_unknown = has_unknown or is_match is None
    if has_unknown:
        reason = f"its `conditions` select namespaces by labels, but the labels of namespace {namespace} are unknown"
        return AccessDecision(StoreAccess.UNKNOWN, reason)
    return AccessDecision(StoreAccess.DENIED, f"its `conditions` do not permit namespace {namespace}")


def _is_condition_match(condition: Any, namespace: str, labels: Labels | None) -> bool | None:
    """Whether one condition matches a namespace; None if that depends on unknown labels."""
    selector = get_field(condition, (SELECTOR_FIELD,))
    by_labels = False if selector is None else _is_selector_match(selector, namespace, labels)
    if by_labels or namespace in _read_texts(condition, "namespaces"):
        return True
    for text in _read_texts(condition, "namespaceRegexes"):
        pattern = regexp.compile_pattern(text)
        if pattern is None:
            raise PolicyError(f"`namespaceRegexes` has `{text}`, which is not a Go regular expression (RE2)")
        if pattern.search(namespace):
            return True
    return by_labels


def _is_selector_match(selector: Any, namespace: str, labels: Labels | None) -> bool | None:
    name_label = {NAMESPACE_NAME_LABEL: namespace}
    if labels is not None:
        return is_selected(selector, {**labels, **name_label}, SELECTOR_FIELD)
    is_selected(selector, name_label, SELECTOR_FIELD)  # Raises if the selector is malformed.
    on_name, on_other_labels = _split_selector(selector)
    if not is_selected(on_name, name_label, SELECTOR_FIELD):
        return False
    return None if on_other_labels else True


def _split_selector(selector: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The part of a selector that is about the name of the namespace, and whether there is any other part."""
    match_labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    on_name = {
        "matchLabels": {key: value for key, value in match_labels.items() if key == NAMESPACE_NAME_LABEL},
        "matchExpressions": [entry for entry in expressions if entry.get("key") == NAMESPACE_NAME_LABEL],
    }
    return on_name, len(match_labels) + len(expressions) > sum(map(len, on_name.values()))


def _read_texts(condition: Any, field: str) -> list[str]:
    listed = get_field(condition, (field,)) or []
    if not isinstance(listed, list):
        raise PolicyError(f"`{field}` must be a list")
    return [str(entry) for entry in listed]
