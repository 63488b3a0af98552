"""Which namespace may read which store and keys, as the repository's config says it: the same for `check` and `sync`.

A rule has patterns, as file names have them: `{namespace: shop-*, store: ClusterSecretStore/vault, key: production/*}`.
With no rule at all everything may be read; with rules, only what one of them lets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.externalsecrets.model import ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.gocompat import regexp
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, Labels, has_negative_expression, is_selected
from gatekeeper.model import FieldPath, get_field

AccessRules = Sequence[Mapping[str, str]]
RULE_FIELDS = ("namespace", "store", "key")


def find_refusals(spec: ExternalSecretSpec, rules: AccessRules) -> Iterator[tuple[FieldPath, str]]:
    """What an ExternalSecret asks for and may not have: the path of the reference, and why."""
    if not rules:
        return
    for number, item in enumerate(spec.data):
        if not _is_allowed(rules, spec.namespace, item.store, item.remote.key):
            yield (
                ("spec", "data", number, "remoteRef", "key"),
                _format_refusal(spec, item.store, f"`{item.remote.key}`"),
            )
    for number, many in enumerate(spec.data_from):
        what = many.source
        # A search reads whatever begins with its path: `prod` finds what is in `prod2/`, too, in some stores.
        key = what.key if isinstance(what, RemoteRef) else what.path
        if not _is_allowed(rules, spec.namespace, many.store, key):
            shown = f"`{key}`" if isinstance(what, RemoteRef) else f"all that begins with `{key}`"
            yield ("spec", "dataFrom", number), _format_refusal(spec, many.store, shown)


def find_condition_refusal(store: Any, namespace: str, labels: Labels | None) -> str:
    """Why a ClusterSecretStore is not for a namespace, by its own `conditions`; empty where it is.

    Args:
        labels: of the namespace; None where they are not known.

    Source: external-secrets `pkg/controllers/secretstore/client_manager.go` (any one condition is enough).
    """
    conditions = get_field(store, ("spec", "conditions"))
    if not isinstance(conditions, list) or not conditions:
        return ""
    unknown = False
    for one in conditions:
        names, patterns = get_field(one, ("namespaces",)) or (), get_field(one, ("namespaceRegexes",)) or ()
        if namespace in names or any(_is_match(pattern, namespace) for pattern in patterns):
            return ""
        selector = get_field(one, ("namespaceSelector",))
        if selector is None:
            continue
        try:
            is_chosen = is_selected(selector, {**(labels or {}), NAMESPACE_NAME_LABEL: namespace}, "namespaceSelector")
            # Labels that are not known could also be those that it must not have.
            if is_chosen and (labels is not None or not has_negative_expression(selector)):
                return ""
        except PolicyError as error:
            return f"its `conditions` cannot be read: {error}"
        unknown = unknown or labels is None
    if unknown:
        return f"its `conditions` choose by labels, and those of namespace {namespace} are not known here"
    return f"its `conditions` do not let namespace {namespace} use it"


def _is_match(pattern: Any, namespace: str) -> bool:
    found = regexp.compile_pattern(str(pattern))
    return found is not None and found.search(namespace) is not None


def _is_allowed(rules: AccessRules, namespace: str, store: StoreRef, key: str) -> bool:
    # A store may take `a/../b` for `b`.
    if not {".", ".."}.isdisjoint(key.split("/")):
        return False
    asked = {"namespace": namespace, "store": f"{store.kind}/{store.name}", "key": key}
    return any(all(fnmatchcase(asked[field], rule.get(field, "*")) for field in RULE_FIELDS) for rule in rules)


def _format_refusal(spec: ExternalSecretSpec, store: StoreRef, description: str) -> str:
    return (
        f"{description} of {store.kind} {store.name} may not be read from namespace {spec.namespace}: "
        "no rule in `secrets.allow` lets it"
    )
