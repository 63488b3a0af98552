"""The rules `secrets.allow` of the configuration: which namespace may read which store and keys.

`check` and `sync` apply the same rules. Each field of a rule is a file name pattern:
`{namespace: shop-*, store: ClusterSecretStore/vault, key: production/*}`. Without rules every read is allowed; with
rules, only a read that one of them allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from gatekeeper.externalsecrets.model import ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.model import FieldPath

AccessRules = Sequence[Mapping[str, str]]
RULE_FIELDS = ("namespace", "store", "key")


def find_refusals(spec: ExternalSecretSpec, rules: AccessRules) -> Iterator[tuple[FieldPath, str]]:
    """Yield each read of an ExternalSecret that the rules do not allow: the path of the reference, and the reason."""
    if not rules:
        return
    for number, entry in enumerate(spec.data):
        if not _is_allowed(rules, spec.namespace, entry.store, entry.remote.key):
            path: FieldPath = ("spec", "data", number, "remoteRef", "key")
            yield path, _format_refusal(spec, entry.store, f"`{entry.remote.key}`")
    for number, many in enumerate(spec.data_from):
        source = many.source
        # In some stores the path of a search is a prefix: `prod` also finds secrets in `prod2/`.
        key = source.key if isinstance(source, RemoteRef) else source.path
        if not _is_allowed(rules, spec.namespace, many.store, key):
            what = f"`{key}`" if isinstance(source, RemoteRef) else f"all keys that begin with `{key}`"
            yield ("spec", "dataFrom", number), _format_refusal(spec, many.store, what)


def _is_allowed(rules: AccessRules, namespace: str, store: StoreRef, key: str) -> bool:
    # A store may resolve `a/../b` to `b`.
    if not {".", ".."}.isdisjoint(key.split("/")):
        return False
    values = {"namespace": namespace, "store": f"{store.kind}/{store.name}", "key": key}
    return any(all(fnmatchcase(values[field], rule.get(field, "*")) for field in RULE_FIELDS) for rule in rules)


def _format_refusal(spec: ExternalSecretSpec, store: StoreRef, what: str) -> str:
    return (
        f"namespace {spec.namespace} may not read {what} of {store.kind} {store.name}: "
        "no rule in `secrets.allow` allows it"
    )
