"""Finds unresolved merge conflicts in encrypted files: with lines of both sides, a file cannot be decrypted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatekeeper.engines.findings import build_file_finding
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding

CONFLICT_MARKERS = compile_lazily(rb"^<{7}(?: .*)?\r?$(?=[\s\S]*^>{7}(?: .*)?\r?$)", re.MULTILINE)
ENCRYPTION_MARKERS = (b"ENC[AES256_GCM,", b"SealedSecret")


def check_merge_conflicts(file: str, content: bytes) -> Iterator[Finding]:
    """Report the first conflict marker in an encrypted file."""
    match = CONFLICT_MARKERS.search(content) if any(mark in content for mark in ENCRYPTION_MARKERS) else None
    if match:
        message = "has an unresolved merge conflict, so the file cannot be decrypted"
        hint = "keep one side (`git checkout --ours` or `--theirs`), then apply the change of the other side again"
        line = content.count(b"\n", 0, match.start()) + 1
        yield build_file_finding(file, "sealed/conflict", message, (line, 1), hint)
