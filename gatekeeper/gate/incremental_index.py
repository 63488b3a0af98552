"""The index of the last run on a whole repository, so that the next run checks only the files that changed.

That is done only where the result is certain to be the same: nothing builds or applies the changed files, they have no
waivers, their kinds are checked separately, and nothing in them changed that other files can depend on. Otherwise
everything is checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from gatekeeper.gate import finding_groups, verdict_codec
from gatekeeper.host import json_text
from gatekeeper.model import Coverage, Verdict
from gatekeeper.named_tuple import NamedTuple

# A larger change needs a full run, which also updates the index.
MAX_CHANGED_FILES = 50


class FileEntry(NamedTuple):
    """A file that can be checked separately.

    Attributes:
        facts_digest: a digest of what other files can depend on.
        checked_count: the number of its resources that were checked against a schema.
    """

    facts_digest: str
    resource_count: int
    checked_count: int


class IncrementalIndex(NamedTuple):
    """One full run: Git's list of the files, the files that can be checked separately, and the verdict.

    Attributes:
        config_object_names: the names of all Secrets and ConfigMaps.
    """

    git_listing: bytes
    file_entries: Mapping[str, FileEntry]
    verdict: Verdict
    config_object_names: tuple[str, ...]


class _EncodedEntries(Mapping[str, FileEntry]):
    """Entries that are decoded when they are read: a run reads those of the changed files."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __getitem__(self, file: str) -> FileEntry:
        start = _encode_line_start(file)
        position = self._lines.find(start)
        if position < 0:
            raise KeyError(file)
        fields = self._lines[position + len(start) : self._lines.index(b"\0", position + len(start))]
        return FileEntry(*json_text.decode(fields))

    def __iter__(self) -> Iterator[str]:
        return (json_text.decode(line.partition(b"\t")[0]) for line in self._lines.split(b"\0") if line)

    def __len__(self) -> int:
        return max(0, self._lines.count(b"\0") - 1)


def _encode_line_start(file: str) -> bytes:
    """What the line of a file begins with, which no part of another line equals: JSON has no control characters."""
    return b"\0" + json_text.encode(file) + b"\t"


def to_bytes(index: IncrementalIndex) -> bytes:
    """Encodes an index for the cache: a line with sizes, Git's listing, a line for each file, and the verdict."""
    lines = b"".join(
        _encode_line_start(file) + json_text.encode(list(entry)) for file, entry in index.file_entries.items()
    )
    head = [len(index.git_listing), len(lines) + 1, index.config_object_names]
    # Only small parts are JSON: a run that needs some entries would wait for all of them to be decoded.
    return b"".join(
        [json_text.encode(head), b"\n", index.git_listing, lines, b"\0", verdict_codec.to_bytes(index.verdict)]
    )


def from_bytes(content: bytes) -> IncrementalIndex:
    """Decodes what `to_bytes` wrote."""
    head, _, body = content.partition(b"\n")
    listing_size, lines_size, names = json_text.decode(head)
    entries_end = listing_size + lines_size
    return IncrementalIndex(
        body[:listing_size],
        _EncodedEntries(body[listing_size:entries_end]),
        verdict_codec.from_bytes(body[entries_end:]),
        tuple(names),
    )


def hash_facts(facts: Iterable[str]) -> str:
    """A digest of what other files can depend on in a file."""
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_changed_files(
    index: IncrementalIndex, git_listing: bytes, differing_files: Iterable[str]
) -> frozenset[str] | None:
    """The changed files; None if they are too many, or if files were added or removed.

    Args:
        git_listing: Git's listing now.
        differing_files: files that differ from that listing.
    """
    before, now = index.git_listing.split(b"\0"), git_listing.split(b"\0")
    if len(before) != len(now):
        return None
    # Both are sorted by name: without added and removed files, the lines of a file are at the same place.
    pairs = [pair for pair in zip(before, now, strict=True) if pair[0] != pair[1]]
    gone, new = _parse_file_names(line for line, _ in pairs), _parse_file_names(line for _, line in pairs)
    files = new | frozenset(differing_files)
    return files if gone == new and len(files) <= MAX_CHANGED_FILES else None


def _parse_file_names(lines: Iterable[bytes]) -> frozenset[str]:
    return frozenset(line.partition(b"\t")[2].decode("utf-8", "surrogateescape") for line in lines if line)


def can_check_alone(index: IncrementalIndex, files: Iterable[str]) -> bool:
    """Whether the index permits a check of files separately."""
    dependent = {
        finding.location.file
        for finding in finding_groups.ungroup_findings(index.verdict.findings)
        if finding.waiver or finding.rule.startswith(("references/", "waivers/"))
    }
    return all(file in index.file_entries and file not in dependent for file in files)


def merge_verdict(
    index: IncrementalIndex,
    files: frozenset[str],
    partial_verdict: Verdict,
    facts_digests: Mapping[str, str],
) -> Verdict | None:
    """The full verdict, updated by the verdict on the changed files; None if a full run is necessary.

    Args:
        partial_verdict: the verdict on the changed files alone.
        facts_digests: the present digest of what others can depend on, by file.
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
    known = finding_groups.ungroup_findings(whole.findings)
    findings = tuple(finding for finding in known if finding.location.file not in files)
    part = partial_verdict._replace(coverage=partial_verdict.coverage._replace(file_count=0))
    merged = whole._replace(findings=findings, coverage=coverage).merge(part)
    return merged._replace(findings=finding_groups.regroup_findings(merged.findings), is_cacheable=True)
