"""What is wrong with a SOPS file by itself: metadata, ciphertext, and values that are in the clear."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterator
from typing import Any

from gatekeeper.model import Finding, Place, Severity
from gatekeeper.sops import recipients
from gatekeeper.sops.creation_rules import DEFAULT, Rule, Selector, selectors
from gatekeeper.sops.sops_file import MARK, Entry, SopsFile

CIPHER = re.compile(r"ENC\[AES256_GCM,data:([^,\]]*),iv:([^,\]]*),tag:([^,\]]*),type:([^,\]]*)\]")
TYPES = ("str", "int", "float", "bytes", "bool", "time", "comment")
IV_BYTES, TAG_BYTES = 32, 16
AGAIN = "encrypt the file again with sops"


def judge(file: str, found: SopsFile, content: bytes, rule: Rule | None) -> Iterator[Finding]:
    """All that is wrong with one file, so far as it can be told without a key."""
    yield from _metadata(file, found)
    yield from _ciphers(file, content.decode("utf-8", "replace"))
    if found.metadata is not None:
        yield from _values(file, found, rule)
    yield from _copied(file, found)


def _metadata(file: str, found: SopsFile) -> Iterator[Finding]:
    held = found.metadata
    if held is None:
        first = next(entry for entry in found.entries if entry.cipher)
        message = "has values that sops encrypted, but no `sops` part: nobody can decrypt them"
        hint = "take the file from Git's history, or encrypt it again"
        yield finding(file, "sops/no-metadata", message, (first.line, first.column), hint)
        return
    mac = held.get("mac")
    if not isinstance(mac, str) or not mac.startswith(MARK):
        message = "has SOPS metadata without a MAC: sops did not write it, or it was edited since"
        yield finding(file, "sops/no-mac", message, found.place("mac"), AGAIN)
    for path, message in _faults(held):
        yield finding(file, "sops/metadata", message, found.place(*path), AGAIN)


def _faults(held: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What the metadata lacks, and where."""
    if not isinstance(held.get("version"), str):
        yield (), "its `sops` part has no `version`"
    if not _is_time(held.get("lastmodified")):
        yield ("lastmodified",), "`sops.lastmodified` is no time (RFC 3339), and the MAC is bound to it"
    names = selectors(held)
    if len(names) > 1:
        yield (names[1].name,), f"its `sops` part has both `{names[0].name}` and `{names[1].name}`"
    groups = held.get("key_groups")
    holders = groups if isinstance(groups, list) and groups else [held]
    if not any(True for holder in holders for _ in recipients.listed(holder)):
        yield (), "its `sops` part names no recipient: nobody can decrypt it"
    for holder in holders:
        for name, place in recipients.listed(holder):
            if not holder[place[0]][place[1]].get("enc"):
                yield (place if holder is held else ()), f"the data key for {shortened(name)} is missing (`enc`)"


def _is_time(held: Any) -> bool:
    try:
        return datetime.datetime.fromisoformat(held).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _ciphers(file: str, text: str) -> Iterator[Finding]:
    """Ciphertext, in values and in comments, that sops cannot read."""
    for number, line in enumerate(text.splitlines(), 1):
        start = line.find(MARK)
        while start >= 0:
            fault = _fault_of(line, start)
            if fault:
                message = f"ciphertext that cannot be decrypted: {fault}"
                hint = "it was cut or edited; take it from Git's history, or encrypt the value again"
                yield finding(file, "sops/ciphertext", message, (number, start + 1), hint)
            start = line.find(MARK, start + len(MARK))


def _fault_of(line: str, start: int) -> str:
    parts = CIPHER.match(line, start)
    if parts is None:
        return "it is not of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]"
    if parts[4] not in TYPES:
        return f"there is no type `{parts[4][:20]}`"
    sizes = [_size(part) for part in parts.groups()[:3]]
    for name, size, wanted in (("data", sizes[0], None), ("iv", sizes[1], IV_BYTES), ("tag", sizes[2], TAG_BYTES)):
        if size is None:
            return f"its {name} is no base64"
        if wanted is not None and size != wanted:
            return f"its {name} has {size} bytes, not {wanted}"
    return "" if sizes[0] else "its data is empty, and sops encrypts nothing that is empty"


def _size(text: str) -> int | None:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def _values(file: str, found: SopsFile, rule: Rule | None) -> Iterator[Finding]:
    """Values that should be ciphertext and are not, and the other way round."""
    own = (*selectors(found.metadata), Selector(*DEFAULT))[0]
    other = rule.selectors[0] if rule and rule.selectors and found.format != "binary" else own
    for entry in found.entries:
        by_file, by_rule = own.encrypts(entry.path), other.encrypts(entry.path)
        name = ".".join(entry.path)
        if entry.cipher and by_file is False:
            message = f"`{name}` is ciphertext, but {_says(own)}: sops leaves it as it is, and so does Flux"
            yield _at(
                file, "sops/stays-encrypted", message, entry, "decrypt it with the selector it was encrypted with"
            )
        elif entry.cipher or entry.is_empty or _is_told_elsewhere(found, entry):
            continue
        elif by_file:
            message = f"`{name}` is in the clear, where {_says(own)}"
            yield _at(file, "sops/in-the-clear", message, entry, f"{AGAIN}; change the value, it has been seen")
        elif by_rule:
            message = f"`{name}` is in the clear, though the rule of the file says `{other.name}: {other.text}`"
            hint = "decrypt and encrypt the file by the rule; change the value, it has been seen"
            yield _at(file, "sops/in-the-clear", message, entry, hint)


def _says(selector: Selector) -> str:
    if selector == DEFAULT:
        return "its `sops` part says to encrypt all values"
    return f"its `sops` part says `{selector.name}: {selector.text}`"


def _is_told_elsewhere(found: SopsFile, entry: Entry) -> bool:
    """Whether the engine for plaintext tells of it: the values of a Secret."""
    return found.kind == "Secret" and entry.path[:1] in (("data",), ("stringData",))


def _copied(file: str, found: SopsFile) -> Iterator[Finding]:
    """The same ciphertext under two keys: it is bound to one of them."""
    first: dict[str, Entry] = {}
    for entry in found.entries:
        known = first.setdefault(entry.cipher, entry) if entry.cipher else entry
        if known.path != entry.path:
            message = f"`{'.'.join(entry.path)}` is the ciphertext of `{'.'.join(known.path)}`, copied or renamed"
            yield _at(file, "sops/copied", f"{message}: it cannot be decrypted here", entry, "use `sops set`")


def shortened(name: str) -> str:
    """A recipient as people know it again."""
    kind, _, text = name.partition(":")
    return f"{kind} {text[:16]}…{text[-4:]}" if len(text) > 24 and kind in ("age", "pgp") else f"{kind} {text}"


def _at(file: str, rule: str, message: str, entry: Entry, hint: str) -> Finding:
    return finding(file, rule, message, (entry.line, entry.column), hint)


def finding(
    file: str, rule: str, message: str, place: tuple[int, int], hint: str, severity: Severity = "error"
) -> Finding:
    """A finding on a spot of a file."""
    return Finding(rule, severity, message, Place(file, *place), hint=hint, placed="field")
