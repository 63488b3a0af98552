"""Recipients of SOPS files in one normalized form: from `.sops.yaml` and from the metadata of a file.

Sources: getsops/sops `config/config.go` (creation rules), `stores/stores.go` (metadata), `*/keysource.go` (names).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.model import get_field

KeyGroups = tuple[frozenset[str], ...]
"""Key groups, each a set of recipients such as `age:age1…`; most files have one group."""

# The recipient kind of each field of a creation rule. A text in such a field is a comma-separated list.
RULE_FIELDS = {
    "age": "age",
    "pgp": "pgp",
    "kms": "kms",
    "gcp_kms": "gcp_kms",
    "hckms": "hckms",
    "azure_keyvault": "azure_kv",
    "hc_vault_transit_uri": "hc_vault",
}
METADATA_FIELDS = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "age", "pgp")
# A key group of a rule uses these fields; the name for Azure differs from the metadata of a file.
GROUP_FIELDS = {"azure_keyvault" if field == "azure_kv" else field: field for field in METADATA_FIELDS}


def parse_rule_groups(rule: Mapping[str, Any]) -> KeyGroups:
    """Return the recipients of a creation rule, by key group."""
    groups = rule.get("key_groups")
    if isinstance(groups, list) and groups:
        return tuple(frozenset(_list_group_recipients(group)) for group in groups)
    names = frozenset(name for field, kind in RULE_FIELDS.items() for name in _list_recipients(kind, rule.get(field)))
    return (names,) if names else ()


def _list_group_recipients(group: Any) -> Iterator[str]:
    if not isinstance(group, dict):
        return
    for field, kind in GROUP_FIELDS.items():
        yield from _list_recipients(kind, group.get(field))
    for other in group.get("merge") or ():
        yield from _list_group_recipients(other)


def _list_recipients(kind: str, entries: Any) -> Iterator[str]:
    items = entries.split(",") if isinstance(entries, str) else entries if isinstance(entries, list) else ()
    for item in items:
        if isinstance(item, str) and item.strip():
            yield f"{kind}:{_normalize_text(kind, item.strip())}"
        elif isinstance(item, dict):
            yield f"{kind}:{_format_item(kind, item)}"


def _normalize_text(kind: str, text: str) -> str:
    if kind == "pgp":
        return text.replace(" ", "").upper()
    if kind == "hc_vault":
        return text.rstrip("/")
    # The comment after an SSH key is not part of the recipient.
    return " ".join(text.split()[:2]) if kind == "age" else text


def parse_metadata_groups(metadata: Mapping[str, Any]) -> KeyGroups:
    """Return the recipients in the metadata of a file, by key group."""
    groups = metadata.get("key_groups")
    if isinstance(groups, list) and groups:
        return tuple(frozenset(name for name, _ in locate_recipients(group)) for group in groups)
    names = frozenset(name for name, _ in locate_recipients(metadata))
    return (names,) if names else ()


def locate_recipients(holder: Any) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield each recipient in the metadata of a file, or in one of its groups, with its path there."""
    for kind in METADATA_FIELDS:
        items = get_field(holder, (kind,))
        for number, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                yield f"{kind}:{_format_item(kind, item)}", (kind, number)


def _format_item(kind: str, item: Mapping[str, Any]) -> str:
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
    return _normalize_text(kind, word(names[kind]))


def is_same_recipient(first: str, second: str) -> bool:
    """Return whether two recipients are the same: a PGP key may be a suffix, an Azure key may have no version."""
    if first == second:
        return True
    if first.startswith("pgp:") and second.startswith("pgp:"):
        long, short = sorted((first[4:].removeprefix("0X"), second[4:].removeprefix("0X")), key=len, reverse=True)
        return len(short) >= 8 and long.endswith(short)
    if first.startswith("azure_kv:") and second.startswith("azure_kv:"):
        long, short = sorted((first, second), key=len, reverse=True)
        return long.startswith(f"{short}/")
    return False


def compare_groups(expected: KeyGroups, actual: KeyGroups) -> tuple[list[str], list[str]]:
    """Return the missing and the unexpected recipients, over all groups."""
    expected_names = sorted({name for group in expected for name in group})
    actual_names = sorted({name for group in actual for name in group})
    missing = [name for name in expected_names if not any(is_same_recipient(name, other) for other in actual_names)]
    unexpected = [name for name in actual_names if not any(is_same_recipient(name, other) for other in expected_names)]
    return missing, unexpected
