"""What is wrong with a SOPS file by itself: metadata, ciphertext, and values that are in the clear."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterator
from typing import Any

from gatekeeper.engines.findings import build_file_finding
from gatekeeper.model import Finding
from gatekeeper.sops import recipients
from gatekeeper.sops.creation_rules import DEFAULT_SELECTOR, CreationRule, SopsSelector, parse_selectors
from gatekeeper.sops.sops_file import CIPHERTEXT_PREFIX, SopsEntry, SopsFile

CIPHERTEXT_PATTERN = re.compile(r"ENC\[AES256_GCM,data:([^,\]]*),iv:([^,\]]*),tag:([^,\]]*),type:([^,\]]*)\]")
VALUE_TYPES = ("str", "int", "float", "bytes", "bool", "time", "comment")
IV_BYTES, TAG_BYTES = 32, 16
REENCRYPT_HINT = "encrypt the file again with sops"


def check_sops_file(file: str, sops_file: SopsFile, content: bytes, rule: CreationRule | None) -> Iterator[Finding]:
    """All that is wrong with one file, so far as it can be told without a key."""
    yield from _check_metadata(file, sops_file)
    yield from _check_ciphertexts(file, content.decode("utf-8", "replace"))
    if sops_file.metadata is not None:
        yield from _check_values(file, sops_file, rule)
    yield from _check_copies(file, sops_file)


def _check_metadata(file: str, sops_file: SopsFile) -> Iterator[Finding]:
    held = sops_file.metadata
    if held is None:
        first = next(entry for entry in sops_file.entries if entry.ciphertext)
        message = "has values that sops encrypted, but no `sops` part: nobody can decrypt them"
        hint = "take the file from Git's history, or encrypt it again"
        yield build_file_finding(file, "sops/no-metadata", message, (first.line, first.column), hint)
        return
    mac = held.get("mac")
    if not isinstance(mac, str) or not mac.startswith(CIPHERTEXT_PREFIX):
        message = "has SOPS metadata without a MAC: sops did not write it, or it was edited since"
        yield build_file_finding(file, "sops/no-mac", message, sops_file.locate("mac"), REENCRYPT_HINT)
    for path, message in _find_metadata_faults(held):
        yield build_file_finding(file, "sops/metadata", message, sops_file.locate(*path), REENCRYPT_HINT)


def _find_metadata_faults(metadata: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What the metadata lacks, and where."""
    if not isinstance(metadata.get("version"), str):
        yield (), "its `sops` part has no `version`"
    if not _is_time(metadata.get("lastmodified")):
        yield ("lastmodified",), "`sops.lastmodified` is no time (RFC 3339), and the MAC is bound to it"
    names = parse_selectors(metadata)
    if len(names) > 1:
        yield (names[1].name,), f"its `sops` part has both `{names[0].name}` and `{names[1].name}`"
    groups = metadata.get("key_groups")
    holders = groups if isinstance(groups, list) and groups else [metadata]
    if not any(True for holder in holders for _ in recipients.locate_recipients(holder)):
        yield (), "its `sops` part names no recipient: nobody can decrypt it"
    for holder in holders:
        for name, place in recipients.locate_recipients(holder):
            if not holder[place[0]][place[1]].get("enc"):
                yield (
                    (place if holder is metadata else ()),
                    f"the data key for {shorten_recipient(name)} is missing (`enc`)",
                )


def _is_time(value: Any) -> bool:
    try:
        return datetime.datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _check_ciphertexts(file: str, text: str) -> Iterator[Finding]:
    """Ciphertext, in values and in comments, that sops cannot read."""
    for number, line in enumerate(text.splitlines(), 1):
        start = line.find(CIPHERTEXT_PREFIX)
        while start >= 0:
            fault = _describe_ciphertext_fault(line, start)
            if fault:
                message = f"ciphertext that cannot be decrypted: {fault}"
                hint = "it was cut or edited; take it from Git's history, or encrypt the value again"
                yield build_file_finding(file, "sops/ciphertext", message, (number, start + 1), hint)
            start = line.find(CIPHERTEXT_PREFIX, start + len(CIPHERTEXT_PREFIX))


def _describe_ciphertext_fault(line: str, start: int) -> str:
    parts = CIPHERTEXT_PATTERN.match(line, start)
    if parts is None:
        return "it is not of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]"
    if parts[4] not in VALUE_TYPES:
        return f"there is no type `{parts[4][:20]}`"
    sizes = [_measure_base64(part) for part in parts.groups()[:3]]
    for name, size, wanted in (("data", sizes[0], None), ("iv", sizes[1], IV_BYTES), ("tag", sizes[2], TAG_BYTES)):
        if size is None:
            return f"its {name} is no base64"
        if wanted is not None and size != wanted:
            return f"its {name} has {size} bytes, not {wanted}"
    return "" if sizes[0] else "its data is empty, and sops encrypts nothing that is empty"


def _measure_base64(text: str) -> int | None:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def _check_values(file: str, sops_file: SopsFile, rule: CreationRule | None) -> Iterator[Finding]:
    """Values that should be ciphertext and are not, and the other way round."""
    own = (*parse_selectors(sops_file.metadata), SopsSelector(*DEFAULT_SELECTOR))[0]
    other = rule.selectors[0] if rule and rule.selectors and sops_file.format != "binary" else own
    for entry in sops_file.entries:
        by_file, by_rule = own.should_encrypt(entry.path), other.should_encrypt(entry.path)
        name = ".".join(entry.path)
        if entry.ciphertext and by_file is False:
            message = (
                f"`{name}` is ciphertext, but {_describe_selector(own)}: sops leaves it as it is, and so does Flux"
            )
            yield _build_entry_finding(
                file, "sops/stays-encrypted", message, entry, "decrypt it with the selector it was encrypted with"
            )
        elif entry.ciphertext or entry.is_empty or _is_reported_elsewhere(sops_file, entry):
            continue
        elif by_file:
            message = f"`{name}` is in the clear, where {_describe_selector(own)}"
            yield _build_entry_finding(
                file, "sops/in-the-clear", message, entry, f"{REENCRYPT_HINT}; change the value, it has been seen"
            )
        elif by_rule:
            message = f"`{name}` is in the clear, though the rule of the file says `{other.name}: {other.text}`"
            hint = "decrypt and encrypt the file by the rule; change the value, it has been seen"
            yield _build_entry_finding(file, "sops/in-the-clear", message, entry, hint)


def _describe_selector(selector: SopsSelector) -> str:
    if selector == DEFAULT_SELECTOR:
        return "its `sops` part says to encrypt all values"
    return f"its `sops` part says `{selector.name}: {selector.text}`"


def _is_reported_elsewhere(sops_file: SopsFile, entry: SopsEntry) -> bool:
    """Whether the engine for plaintext tells of it: the values of a Secret."""
    return sops_file.kind == "Secret" and entry.path[:1] in (("data",), ("stringData",))


def _check_copies(file: str, sops_file: SopsFile) -> Iterator[Finding]:
    """The same ciphertext under two keys: it is bound to one of them."""
    first: dict[str, SopsEntry] = {}
    for entry in sops_file.entries:
        known = first.setdefault(entry.ciphertext, entry) if entry.ciphertext else entry
        if known.path != entry.path:
            message = f"`{'.'.join(entry.path)}` is the ciphertext of `{'.'.join(known.path)}`, copied or renamed"
            yield _build_entry_finding(
                file, "sops/copied", f"{message}: it cannot be decrypted here", entry, "use `sops set`"
            )


def shorten_recipient(name: str) -> str:
    """A recipient as people know it again."""
    kind, _, text = name.partition(":")
    return f"{kind} {text[:16]}…{text[-4:]}" if len(text) > 24 and kind in ("age", "pgp") else f"{kind} {text}"


def _build_entry_finding(file: str, rule: str, message: str, entry: SopsEntry, hint: str) -> Finding:
    return build_file_finding(file, rule, message, (entry.line, entry.column), hint)
