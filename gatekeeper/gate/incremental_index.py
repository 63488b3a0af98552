"""What the last run on a whole repository knows of each file, so that a change of one file is judged by that file.

Only where that is surely the same: the changed files stand alone (nothing builds or applies them, they waive nothing),
they hold kinds that are judged alone, and what others can depend on in them did not change. Else everything is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.gate import verdict_codec
from gatekeeper.model import Coverage, Gap, Resource, Verdict, distinct

# More than that is not the change of a commit; everything is then judged anew, and known better.
MOST_CHANGED = 50


class Local(NamedTuple):
    """A file that stands alone: a digest of what others can depend on, and how many resources it has and checks."""

    facts: str
    resources: int
    checked: int


class Ledger(NamedTuple):
    """One run: Git's listing of the files, those that stand alone, and the verdict on everything.

    Attributes:
        names: of all Secrets and ConfigMaps.
    """

    listing: bytes
    local: Mapping[str, Local]
    verdict: Verdict
    names: tuple[str, ...]


def to_bytes(ledger: Ledger) -> bytes:
    """A ledger, to be kept."""
    return orjson.dumps(
        [
            ledger.listing.decode("latin-1"),
            {file: list(local) for file, local in ledger.local.items()},
            orjson.Fragment(verdict_codec.to_bytes(ledger.verdict)),
            ledger.names,
        ]
    )


def from_bytes(content: bytes) -> Ledger:
    """What `to_bytes` wrote."""
    held: list[Any] = orjson.loads(content)
    verdict = verdict_codec.from_bytes(orjson.dumps(held[2]))
    local = {file: Local(*held_local) for file, held_local in held[1].items()}
    return Ledger(held[0].encode("latin-1"), local, verdict, tuple(held[3]))


def digest(facts: Iterable[str]) -> str:
    """A digest of what others can depend on in a file."""
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def changed(ledger: Ledger, listing: bytes, differing: Iterable[str]) -> frozenset[str] | None:
    """The files that are not what they were; None where they are too many, or some were added or taken away.

    Args:
        listing: Git's listing now.
        differing: files that differ from it.
    """
    before, now = set(ledger.listing.split(b"\0")), set(listing.split(b"\0"))
    gone, new = _names(before - now), _names(now - before)
    files = new | frozenset(differing)
    return files if gone == new and len(files) <= MOST_CHANGED else None


def _names(lines: Iterable[bytes]) -> frozenset[str]:
    return frozenset(line.partition(b"\t")[2].decode("utf-8", "surrogateescape") for line in lines if line)


def allows(ledger: Ledger, files: Iterable[str]) -> bool:
    """Whether files can be judged by themselves, as far as the ledger knows."""
    found = {
        one.place.file
        for one in ledger.verdict.findings
        if one.waived or one.rule.startswith(("references/", "waivers/"))
    }
    return all(file in ledger.local and file not in found for file in files)


def joined(
    ledger: Ledger, files: frozenset[str], part: Verdict, resources: Sequence[Resource], names: Mapping[str, str]
) -> Verdict | None:
    """The verdict on everything, from that on the changed files; None where more has to be judged.

    Args:
        part: the verdict on the changed files alone.
        resources: what they hold now.
        names: the digest of what others can depend on, by file, as it is now.
    """
    old = [ledger.local[file] for file in files]
    if any(names.get(file) != ledger.local[file].facts for file in files):
        return None
    whole = ledger.verdict
    if (part.engine, part.policies) != (whole.engine, whole.policies) or not part.lasts:
        return None
    coverage = Coverage(
        whole.coverage.files,
        whole.coverage.resources - sum(one.resources for one in old) + len(resources),
        whole.coverage.checked - sum(one.checked for one in old) + part.coverage.checked,
        _skipped(whole.coverage.skipped, part.coverage.skipped, files),
    )
    findings = distinct([*(one for one in whole.findings if one.place.file not in files), *part.findings])
    return whole._replace(findings=findings, coverage=coverage, lasts=True)


def _skipped(before: Iterable[Gap], now: Iterable[Gap], files: frozenset[str]) -> tuple[Gap, ...]:
    return tuple(sorted({gap for gap in before if gap.file not in files} | set(now)))
