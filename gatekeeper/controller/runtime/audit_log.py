"""Append-only audit log: one JSON entry per line, each with the digest of the previous one.

A changed or removed entry breaks the chain; a log cut off at its end does not contain the last digest, which the
controller's Lease holds. Entries are canonical JSON in the spirit of RFC 8785: sorted keys, no spaces.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.kube.conditions import format_time
from gatekeeper.named_tuple import NamedTuple

SCHEMA = "gatekeeper/audit/v1"
GENESIS_DIGEST = "0" * 64
# Bytes at the end of a log that are read to find its last entry; more if that entry is longer.
TAIL_BYTES = 1 << 16


class AuditHead(NamedTuple):
    """The number (from 1) and the digest of the last entry."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


class ChainBreak(NamedTuple):
    """The first line (from 1) that is not as it was written, and what is wrong with it."""

    line: int
    reason: str


def compute_digest(entry: Mapping[str, Any]) -> str:
    """Compute the SHA-256 digest of an entry without its own digest, in hexadecimal."""
    content = {key: value for key, value in entry.items() if key != "digest"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


class AuditLog:
    """An open log file; an entry is on disk before `append` returns.

    Raises:
        ToolError: the file cannot be opened, or its last line is not an intact entry.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._write_lock = file, threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self.head = self._read_head()
        except OSError as error:
            raise ToolError(f"{file}: cannot open the audit log: {error.strerror}") from None

    def _read_head(self) -> AuditHead:
        line = self._read_last_line()
        if not line:
            return AuditHead(0, GENESIS_DIGEST)
        try:
            entry = orjson.loads(line)
            head = AuditHead(int(entry["number"]), str(entry["digest"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise ToolError(
                f"{self._file}: not an audit log: its last line is not an entry; use another file"
            ) from None
        if compute_digest(entry) != head.digest:
            raise ToolError(f"{self._file}: the last entry has been changed; run `gatekeeper audit verify`")
        return head

    def _read_last_line(self) -> bytes:
        size, span = os.fstat(self._descriptor).st_size, TAIL_BYTES
        while True:
            start = max(0, size - span)
            tail = os.pread(self._descriptor, size - start, start)
            complete, _, torn = tail.rpartition(b"\n")
            if torn:
                # The writer was killed while it wrote this line, so what the line announces was never done.
                size = start + len(tail) - len(torn)
                os.ftruncate(self._descriptor, size)
                continue
            line = complete.rpartition(b"\n")[2]
            if start == 0 or len(line) < len(complete):
                return line
            span *= 2

    def append(self, entry: Mapping[str, Any]) -> AuditHead:
        """Append an entry.

        Returns:
            The new head.

        Raises:
            ToolError: the entry cannot be written; the file is as before.
        """
        with self._write_lock:
            chained: dict[str, Any] = {
                "schema": SCHEMA,
                "number": self.head.number + 1,
                "time": format_time(time.time()),
                **entry,
                "before": self.head.digest,
            }
            chained["digest"] = compute_digest(chained)
            line = orjson.dumps(chained, option=orjson.OPT_SORT_KEYS) + b"\n"
            size = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) != len(line):
                    raise OSError(0, "no space for the whole entry")
                os.fdatasync(self._descriptor)
            except OSError as error:
                os.ftruncate(self._descriptor, size)
                raise ToolError(f"{self._file}: cannot write the audit log: {error.strerror}") from None
            self.head = AuditHead(chained["number"], chained["digest"])
            return self.head

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_lines(file: Path) -> Iterator[bytes]:
    """Read a log line by line, with line ends.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as handle:
        yield from handle


def verify_chain(lines: Iterable[bytes], head: AuditHead | None = None) -> tuple[int, ChainBreak | None]:
    """Verify the chain of digests.

    Args:
        head: the head to find in the log, as the Lease has it; entries may follow it. None to verify the chain alone.

    Returns:
        How many entries are intact, and the first break after them, or None.
    """
    previous_digest, number, is_head_seen = GENESIS_DIGEST, 0, head is None or head.number == 0
    for line in lines:
        number += 1
        reason = _find_fault(line, number, previous_digest)
        if reason:
            return number - 1, ChainBreak(number, reason)
        previous_digest = orjson.loads(line)["digest"]
        if head is not None and head.number == number:
            is_head_seen = head.digest == previous_digest
            if not is_head_seen:
                return number - 1, ChainBreak(number, "does not match the given head: the log has been rewritten")
    if not is_head_seen and head is not None:
        return number, ChainBreak(number + 1, f"the log ends here, but must have {head.number} entries")
    return number, None


def _find_fault(line: bytes, number: int, previous_digest: str) -> str:
    """Return why a line is not the entry that was written there; empty if it is."""
    if not line.endswith(b"\n"):
        return "incomplete entry: the line end is missing"
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not JSON"
    if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
        return f"not an entry of {SCHEMA}"
    if entry.get("number") != number:
        return f"found entry {entry.get('number')}, expected entry {number}: an entry is missing or out of order"
    if entry.get("before") != previous_digest:
        return "does not follow the previous entry: an entry was changed or is missing"
    return "" if entry.get("digest") == compute_digest(entry) else "the entry was changed"
