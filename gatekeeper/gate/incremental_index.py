"""What the last run on a whole repository knows of each file, so that a change of one file is judged by that file.

Only where that is surely the same: the changed files stand alone (nothing builds or applies them, they waive nothing),
they hold kinds that are judged alone, and what others can depend on in them did not change. Else everything is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from gatekeeper.gate import verdict_codec
from gatekeeper.model import Coverage, Verdict

# More than that is not the change of a commit; everything is then judged anew, and known better.
MAX_CHANGED_FILES = 50


class FileEntry(NamedTuple):
    """A file that stands alone: a digest of what others can depend on, and how many resources it has and checks."""

    facts_digest: str
    resource_count: int
    checked_count: int


class IncrementalIndex(NamedTuple):
    """One run: Git's listing of the files, those that stand alone, and the verdict on everything.

    Attributes:
        config_object_names: of all Secrets and ConfigMaps.
    """

    git_listing: bytes
    file_entries: Mapping[str, FileEntry]
    verdict: Verdict
    config_object_names: tuple[str, ...]


def to_bytes(index: IncrementalIndex) -> bytes:
    """A ledger, to be kept."""
    return orjson.dumps(
        [
            index.git_listing.decode("latin-1"),
            {file: list(local) for file, local in index.file_entries.items()},
            orjson.Fragment(verdict_codec.to_bytes(index.verdict)),
            index.config_object_names,
        ]
    )


def from_bytes(content: bytes) -> IncrementalIndex:
    """What `to_bytes` wrote."""
    held: list[Any] = orjson.loads(content)
    verdict = verdict_codec.from_bytes(orjson.dumps(held[2]))
    local = {file: FileEntry(*held_local) for file, held_local in held[1].items()}
    return IncrementalIndex(held[0].encode("latin-1"), local, verdict, tuple(held[3]))


def hash_facts(facts: Iterable[str]) -> str:
    """A digest of what others can depend on in a file."""
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_changed_files(
    index: IncrementalIndex, git_listing: bytes, differing_files: Iterable[str]
) -> frozenset[str] | None:
    """The files that are not what they were; None where they are too many, or some were added or taken away.

    Args:
        git_listing: Git's listing now.
        differing_files: files that differ from it.
    """
    before, now = set(index.git_listing.split(b"\0")), set(git_listing.split(b"\0"))
    gone, new = _parse_file_names(before - now), _parse_file_names(now - before)
    files = new | frozenset(differing_files)
    return files if gone == new and len(files) <= MAX_CHANGED_FILES else None


def _parse_file_names(lines: Iterable[bytes]) -> frozenset[str]:
    return frozenset(line.partition(b"\t")[2].decode("utf-8", "surrogateescape") for line in lines if line)


def can_check_alone(index: IncrementalIndex, files: Iterable[str]) -> bool:
    """Whether files can be judged by themselves, as far as the ledger knows."""
    found = {
        one.location.file
        for one in index.verdict.findings
        if one.waiver or one.rule.startswith(("references/", "waivers/"))
    }
    return all(file in index.file_entries and file not in found for file in files)


def merge_verdict(
    index: IncrementalIndex,
    files: frozenset[str],
    partial_verdict: Verdict,
    facts_digests: Mapping[str, str],
) -> Verdict | None:
    """The verdict on everything, from that on the changed files; None where more has to be judged.

    Args:
        partial_verdict: the verdict on the changed files alone.
        facts_digests: the digest of what others can depend on, by file, as it is now.
    """
    old = [index.file_entries[file] for file in files]
    if any(facts_digests.get(file) != index.file_entries[file].facts_digest for file in files):
        return None
    whole = index.verdict
    if (partial_verdict.engine, partial_verdict.policy_digest) != (
        whole.engine,
        whole.policy_digest,
    ) or not partial_verdict.is_cacheable:
        return None
    # The verdict without the changed files, and then with what they are now.
    coverage = Coverage(
        whole.coverage.file_count,
        whole.coverage.resource_count - sum(entry.resource_count for entry in old),
        whole.coverage.checked_count - sum(entry.checked_count for entry in old),
        tuple(gap for gap in whole.coverage.gaps if gap.file not in files),
    )
    findings = tuple(finding for finding in whole.findings if finding.location.file not in files)
    part = partial_verdict._replace(coverage=partial_verdict.coverage._replace(file_count=0))
    return whole._replace(findings=findings, coverage=coverage).merge(part)._replace(is_cacheable=True)
