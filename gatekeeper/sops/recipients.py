"""For whom a file is encrypted, in one form: from `.sops.yaml` and from a file's own metadata.

Sources: getsops/sops `config/config.go` (creation rules), `stores/stores.go` (metadata), `*/keysource.go` (names).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.model import at

Groups = tuple[frozenset[str], ...]
"""Key groups, each a set of recipients such as `age:age1…`; most files have one group."""

# In a creation rule: the field, and what it names. A text there is a list with commas.
FLAT_FIELDS = {
    "age": "age", "pgp": "pgp", "kms": "kms", "gcp_kms": "gcp_kms", "hckms": "hckms", "azure_keyvault": "azure_kv",
    "hc_vault_transit_uri": "hc_vault",
}  # fmt: skip
METADATA_FIELDS = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "age", "pgp")
# In a key group of a rule, where Azure's has another name.
GROUP_FIELDS = {"azure_keyvault" if field == "azure_kv" else field: field for field in METADATA_FIELDS}


def of_rule(rule: Mapping[str, Any]) -> Groups:
    """What a creation rule encrypts for."""
    groups = rule.get("key_groups")
    if isinstance(groups, list) and groups:
        return tuple(frozenset(_of_group(group)) for group in groups)
    names = frozenset(name for field, kind in FLAT_FIELDS.items() for name in _named(kind, rule.get(field)))
    return (names,) if names else ()


def _of_group(group: Any) -> Iterator[str]:
    if not isinstance(group, dict):
        return
    for field, kind in GROUP_FIELDS.items():
        yield from _named(kind, group.get(field))
    for other in group.get("merge") or ():
        yield from _of_group(other)


def _named(kind: str, held: Any) -> Iterator[str]:
    items = held.split(",") if isinstance(held, str) else held if isinstance(held, list) else ()
    for item in items:
        if isinstance(item, str) and item.strip():
            yield f"{kind}:{_text(kind, item.strip())}"
        elif isinstance(item, dict):
            yield f"{kind}:{_item(kind, item)}"


def _text(kind: str, text: str) -> str:
    if kind == "pgp":
        return text.replace(" ", "").upper()
    if kind == "hc_vault":
        return text.rstrip("/")
    # Of an SSH key the comment is no part.
    return " ".join(text.split()[:2]) if kind == "age" else text


def of_metadata(metadata: Mapping[str, Any]) -> Groups:
    """What a file says that it is encrypted for."""
    groups = metadata.get("key_groups")
    if isinstance(groups, list) and groups:
        return tuple(frozenset(name for name, _ in listed(group)) for group in groups)
    names = frozenset(name for name, _ in listed(metadata))
    return (names,) if names else ()


def listed(holder: Any) -> Iterator[tuple[str, tuple[str, int]]]:
    """Each recipient in a file's metadata or in one of its groups, and where it stands there."""
    for kind in METADATA_FIELDS:
        held = at(holder, (kind,))
        for number, item in enumerate(held if isinstance(held, list) else ()):
            if isinstance(item, dict):
                yield f"{kind}:{_item(kind, item)}", (kind, number)


def _item(kind: str, item: Mapping[str, Any]) -> str:
    def word(*names: str) -> str:
        return next((str(item[name]) for name in names if item.get(name)), "")

    if kind == "kms":
        return word("arn") + (f"+{word('role')}" if word("role") else "")
    if kind == "azure_kv":
        url = f"{word('vault_url', 'vaultUrl').rstrip('/')}/keys/{word('name', 'key')}"
        return f"{url}/{word('version')}".rstrip("/")
    if kind == "hc_vault":
        return f"{word('vault_address').rstrip('/')}/v1/{word('engine_path').strip('/')}/keys/{word('key_name')}"
    names = {"gcp_kms": "resource_id", "hckms": "key_id", "age": "recipient", "pgp": "fp"}
    return _text(kind, word(names[kind]))


def same(one: str, other: str) -> bool:
    """Whether two names are of one recipient: PGP keys may be named by the end, Azure's without a version."""
    if one == other:
        return True
    if one.startswith("pgp:") and other.startswith("pgp:"):
        long, short = sorted((one[4:].removeprefix("0X"), other[4:].removeprefix("0X")), key=len, reverse=True)
        return len(short) >= 8 and long.endswith(short)
    if one.startswith("azure_kv:") and other.startswith("azure_kv:"):
        long, short = sorted((one, other), key=len, reverse=True)
        return long.startswith(f"{short}/")
    return False


def apart(wanted: Groups, found: Groups) -> tuple[list[str], list[str]]:
    """Recipients that lack, and that are too many, over all groups."""
    want = sorted({name for group in wanted for name in group})
    have = sorted({name for group in found for name in group})
    lacking = [name for name in want if not any(same(name, other) for other in have)]
    too_many = [name for name in have if not any(same(name, other) for other in want)]
    return lacking, too_many
