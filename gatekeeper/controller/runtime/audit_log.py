"""Who changed what in a cluster, and why: a log that is only ever added to, each entry with a digest of the one before.

Whoever changes an entry, or takes one out, breaks the chain; whoever cuts off its end does not have the last digest,
which the controller's Lease has. The form is RFC 8785's idea in short: keys in order, no spaces.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.kube import conditions

SCHEMA = "gatekeeper/audit/v1"
GENESIS_DIGEST = "0" * 64
TAIL_BYTES = 1 << 16


class AuditHead(NamedTuple):
    """The last entry: its number, from 1, and its digest."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


class ChainBreak(NamedTuple):
    """Where a log is not as it was written: the line, from 1, and what is wrong."""

    line: int
    reason: str


def compute_digest(entry: Mapping[str, Any]) -> str:
    """The digest of an entry, of all in it but the digest itself."""
    held = {key: value for key, value in entry.items() if key != "digest"}
    return hashlib.sha256(orjson.dumps(held, option=orjson.OPT_SORT_KEYS)).hexdigest()


class AuditLog:
    """A file that entries are added to. What was written is on the disk before it is done.

    Raises:
        ToolError: it cannot be read, or its last entry is not whole.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._write_lock = file, threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self.head = self._read_head()
        except OSError as error:
            raise ToolError(f"{file}: the audit log cannot be opened: {error.strerror}") from None

    def _read_head(self) -> AuditHead:
        size = os.fstat(self._descriptor).st_size
        span = TAIL_BYTES
        while True:
            start = max(0, size - span)
            text = os.pread(self._descriptor, size - start, start)
            whole, _, torn = text.rpartition(b"\n")
            if torn:
                # Whoever wrote it was ended in between: it was not done yet what it would have told of.
                os.ftruncate(self._descriptor, start + len(text) - len(torn))
                size -= len(torn)
                continue
            line = whole.rpartition(b"\n")[2]
            if start == 0 or len(line) < len(whole):
                break
            span *= 2
        if not line:
            return AuditHead(0, GENESIS_DIGEST)
        try:
            entry = orjson.loads(line)
            found = AuditHead(int(entry["number"]), str(entry["digest"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise ToolError(f"{self._file}: the last line is no entry of an audit log: name another file") from None
        if compute_digest(entry) != found.digest:
            raise ToolError(f"{self._file}: the last entry was changed: see `gatekeeper audit verify`")
        return found

    def append(self, entry: Mapping[str, Any]) -> AuditHead:
        """Adds an entry; the new head.

        Raises:
            ToolError: it cannot be written: then nothing of it is there.
        """
        with self._write_lock:
            whole: dict[str, Any] = {
                "schema": SCHEMA,
                "number": self.head.number + 1,
                "time": conditions.format_time(time.time()),
                **entry,
                "before": self.head.digest,
            }
            whole["digest"] = compute_digest(whole)
            line = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS) + b"\n"
            size = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) != len(line):
                    raise OSError(0, "not all of it could be written")
                os.fdatasync(self._descriptor)
            except OSError as error:
                os.ftruncate(self._descriptor, size)
                raise ToolError(f"{self._file}: the audit log cannot be written: {error.strerror}") from None
            self.head = AuditHead(whole["number"], whole["digest"])
            return self.head

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def read_lines(file: Path) -> Iterator[bytes]:
    """The lines of a log.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as handle:
        yield from handle


def verify_chain(lines: Iterable[bytes], head: AuditHead | None = None) -> tuple[int, ChainBreak | None]:
    """How many entries of a log are as they were written, and where the first is not.

    Args:
        head: the last entry that there must be, or one before the last.
    """
    before, number, is_seen = GENESIS_DIGEST, 0, head is None or head.number == 0
    for line in lines:
        number += 1
        fault = _find_fault(line, number, before)
        if fault:
            return number - 1, ChainBreak(number, fault)
        before = orjson.loads(line)["digest"]
        if head is not None and head.number == number:
            is_seen = head.digest == before
            if not is_seen:
                return number - 1, ChainBreak(number, "is not the entry that the head is of: all was written anew")
    if not is_seen and head is not None:
        return number, ChainBreak(number + 1, f"the log ends here, and must have {head.number} entries")
    return number, None


def _find_fault(line: bytes, number: int, previous_digest: str) -> str:
    if not line.endswith(b"\n"):
        return "is not whole"
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "is no JSON"
    if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
        return f"is no entry of {SCHEMA}"
    if entry.get("number") != number:
        return f"is entry {entry.get('number')}: one is missing, or in another place"
    if entry.get("before") != previous_digest:
        return "does not follow the entry before it: one was changed, or is missing"
    return "" if entry.get("digest") == compute_digest(entry) else "was changed"
