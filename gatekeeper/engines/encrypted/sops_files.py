"""Checks one SOPS file: its metadata, its ciphertext, and values that are not encrypted."""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterator
from typing import Any

from gatekeeper.engines.findings import build_file_finding
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding
from gatekeeper.sops import recipients
from gatekeeper.sops.creation_rules import DEFAULT_SELECTOR, CreationRule, SopsSelector, parse_selectors
from gatekeeper.sops.sops_file import CIPHERTEXT_PREFIX, SopsEntry, SopsFile

CIPHERTEXT_PATTERN = compile_lazily(r"ENC\[AES256_GCM,data:([^,\]]*),iv:([^,\]]*),tag:([^,\]]*),type:([^,\]]*)\]")
VALUE_TYPES = ("str", "int", "float", "bytes", "bool", "time", "comment")
IV_BYTES, TAG_BYTES = 32, 16
REENCRYPT_HINT = "encrypt the file again with sops"


def check_sops_file(file: str, sops_file: SopsFile, content: bytes, rule: CreationRule | None) -> Iterator[Finding]:
    """Yield the faults of one file that can be found without a key."""
    yield from _check_metadata(file, sops_file)
    yield from _check_ciphertexts(file, content.decode("utf-8", "replace"))
    if sops_file.metadata is not None:
        yield from _check_values(file, sops_file, rule)
    yield from _check_copies(file, sops_file)


def _check_metadata(file: str, sops_file: SopsFile) -> Iterator[Finding]:
    metadata = sops_file.metadata
    if metadata is None:
        first = next(entry for entry in sops_file.entries if entry.ciphertext)
        message = "has values that sops encrypted, but its `sops` metadata is missing: they cannot be decrypted"
        hint = "restore the file from Git history, or encrypt it again"
        yield build_file_finding(file, "sops/no-metadata", message, (first.line, first.column), hint)
        return
    mac = metadata.get("mac")
    if not isinstance(mac, str) or not mac.startswith(CIPHERTEXT_PREFIX):
        message = "its `sops` metadata has no MAC: sops did not write it, or it was edited later"
        yield build_file_finding(file, "sops/no-mac", message, sops_file.locate("mac"), REENCRYPT_HINT)
    for path, message in _find_metadata_faults(metadata):
        yield build_file_finding(file, "sops/metadata", message, sops_file.locate(*path), REENCRYPT_HINT)


def _find_metadata_faults(metadata: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path of each fault in the metadata, and a message."""
    if not isinstance(metadata.get("version"), str):
        yield (), "its `sops` metadata has no `version`"
    if not _is_time(metadata.get("lastmodified")):
        yield ("lastmodified",), "`sops.lastmodified` is not an RFC 3339 time, which the MAC depends on"
    names = parse_selectors(metadata)
    if len(names) > 1:
        yield (names[1].name,), f"its `sops` metadata has both `{names[0].name}` and `{names[1].name}`"
    groups = metadata.get("key_groups")
    holders = groups if isinstance(groups, list) and groups else [metadata]
    if not any(True for holder in holders for _ in recipients.locate_recipients(holder)):
        yield (), "its `sops` metadata names no recipient: the file cannot be decrypted"
    for holder in holders:
        for name, place in recipients.locate_recipients(holder):
            if not holder[place[0]][place[1]].get("enc"):
                yield (
                    (place if holder is metadata else ()),
                    f"the data key (`enc`) for {shorten_recipient(name)} is missing",
                )


def _is_time(value: Any) -> bool:
    try:
        return datetime.datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _check_ciphertexts(file: str, text: str) -> Iterator[Finding]:
    """Find ciphertext, in values and in comments, that sops cannot read."""
    for number, line in enumerate(text.splitlines(), 1):
        start = line.find(CIPHERTEXT_PREFIX)
        while start >= 0:
            fault = _describe_ciphertext_fault(line, start)
            if fault:
                message = f"ciphertext that cannot be decrypted: {fault}"
                hint = "it was truncated or edited; restore it from Git history, or encrypt the value again"
                yield build_file_finding(file, "sops/ciphertext", message, (number, start + 1), hint)
            start = line.find(CIPHERTEXT_PREFIX, start + len(CIPHERTEXT_PREFIX))


def _describe_ciphertext_fault(line: str, start: int) -> str:
    parts = CIPHERTEXT_PATTERN.match(line, start)
    if parts is None:
        return "it does not have the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]"
    if parts[4] not in VALUE_TYPES:
        return f"unknown type `{parts[4][:20]}`"
    sizes = [_measure_base64(part) for part in parts.groups()[:3]]
    for name, size, expected_size in (
        ("data", sizes[0], None),
        ("iv", sizes[1], IV_BYTES),
        ("tag", sizes[2], TAG_BYTES),
    ):
        if size is None:
            return f"its {name} is not valid base64"
        if expected_size is not None and size != expected_size:
            return f"its {name} has {size} bytes, not {expected_size}"
    return "" if sizes[0] else "its data is empty, but sops never encrypts an empty value"


def _measure_base64(text: str) -> int | None:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def _check_values(file: str, sops_file: SopsFile, rule: CreationRule | None) -> Iterator[Finding]:
    """Find values that should be ciphertext and are not, and ciphertext that the selector does not cover."""
    own = (*parse_selectors(sops_file.metadata), SopsSelector(*DEFAULT_SELECTOR))[0]
    other = rule.selectors[0] if rule and rule.selectors and sops_file.format != "binary" else own
    for entry in sops_file.entries:
        by_file, by_rule = own.should_encrypt(entry.path), other.should_encrypt(entry.path)
        name = ".".join(entry.path)
        if entry.ciphertext and by_file is False:
            message = f"`{name}` is ciphertext, but {_describe_selector(own)}: sops and Flux do not decrypt it"
            yield _build_entry_finding(
                file, "sops/stays-encrypted", message, entry, "decrypt it with the selector that it was encrypted with"
            )
        elif entry.ciphertext or entry.is_empty or _is_reported_elsewhere(sops_file, entry):
            continue
        elif by_file:
            message = f"`{name}` is not encrypted, but {_describe_selector(own)}"
            yield _build_entry_finding(
                file,
                "sops/in-the-clear",
                message,
                entry,
                f"{REENCRYPT_HINT}; rotate the secret, because the value is in the Git history",
            )
        elif by_rule:
            message = f"`{name}` is not encrypted, but the creation rule of the file has `{other.name}: {other.text}`"
            hint = (
                "decrypt and encrypt the file by the rule; rotate the secret, because the value is in the Git history"
            )
            yield _build_entry_finding(file, "sops/in-the-clear", message, entry, hint)


def _describe_selector(selector: SopsSelector) -> str:
    if selector == DEFAULT_SELECTOR:
        return "its `sops` metadata requires all values to be encrypted"
    return f"its `sops` metadata has `{selector.name}: {selector.text}`"


def _is_reported_elsewhere(sops_file: SopsFile, entry: SopsEntry) -> bool:
    """Whether the plaintext engine reports it: values of a Secret."""
    return sops_file.kind == "Secret" and entry.path[:1] in (("data",), ("stringData",))


def _check_copies(file: str, sops_file: SopsFile) -> Iterator[Finding]:
    """Find ciphertext that occurs under two keys: it can be decrypted under only one of them."""
    first: dict[str, SopsEntry] = {}
    for entry in sops_file.entries:
        known = first.setdefault(entry.ciphertext, entry) if entry.ciphertext else entry
        if known.path != entry.path:
            message = f"`{'.'.join(entry.path)}` is the ciphertext of `{'.'.join(known.path)}`, copied or renamed"
            yield _build_entry_finding(
                file, "sops/copied", f"{message}: it cannot be decrypted here", entry, "set the value with `sops set`"
            )


def shorten_recipient(name: str) -> str:
    """A recipient, shortened for a message."""
    kind, _, text = name.partition(":")
    return f"{kind} {text[:16]}…{text[-4:]}" if len(text) > 24 and kind in ("age", "pgp") else f"{kind} {text}"


def _build_entry_finding(file: str, rule: str, message: str, entry: SopsEntry, hint: str) -> Finding:
    return build_file_finding(file, rule, message, (entry.line, entry.column), hint)
