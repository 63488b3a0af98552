"""Which namespace may read which store and keys, as the repository's config says it: the same for `check` and `sync`.

A rule has patterns, as file names have them: `{namespace: shop-*, store: ClusterSecretStore/vault, key: production/*}`.
With no rule at all everything may be read; with rules, only what one of them lets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from gatekeeper.externalsecrets.model import ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.model import FieldPath

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
