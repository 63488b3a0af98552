"""Encrypted files that Git could not merge: a part of each side is no file that anybody can open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatekeeper.engines.findings import build_file_finding
from gatekeeper.model import Finding

CONFLICT_MARKERS = re.compile(rb"^<{7}(?: .*)?\r?$(?=[\s\S]*^>{7}(?: .*)?\r?$)", re.MULTILINE)
ENCRYPTION_MARKERS = (b"ENC[AES256_GCM,", b"SealedSecret")


def check_merge_conflicts(file: str, content: bytes) -> Iterator[Finding]:
    """The first conflict in an encrypted file."""
    found = CONFLICT_MARKERS.search(content) if any(mark in content for mark in ENCRYPTION_MARKERS) else None
    if found:
        message = "has a conflict that Git could not merge; lines of both sides together cannot be opened"
        hint = "take one side whole (`git checkout --ours` or `--theirs`), then make the other's change again"
        line = content.count(b"\n", 0, found.start()) + 1
        yield build_file_finding(file, "sealed/conflict", message, (line, 1), hint)
