"""Values of Secrets that are reported: a leak rule that matches inside one of them reports nothing new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gatekeeper.engines.plaintext.leaks import LeakCandidate
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Location
from gatekeeper.workspace.tree import Tree

# What differs between a value and its text in a file: spaces, line ends, quotes and escapes of them.
FORMATTING = compile_lazily(rb"\\[nrt]|[\s\\\"']+")
# A rule for private keys can match beyond the end of the key.
PEM_END = b"-----END"


class ReportedValue:
    """A finding about a value, and the value as it is in the file and decoded, which is never shown."""

    __slots__ = ("finding", "texts")

    def __init__(self, finding: Finding, texts: Sequence[str] = ()) -> None:
        self.finding = finding
        self.texts = tuple(_normalize(text.encode("utf-8", "surrogatepass")) for text in texts)

    def count(self, text: bytes) -> int:
        """How often a text is in the value."""
        return max((own.count(text) for own in self.texts), default=0)


def exclude_covered(
    tree: Tree, candidates: Iterable[LeakCandidate], reported: Iterable[ReportedValue]
) -> Iterator[LeakCandidate]:
    """The leaks that are not a part of a reported value; the same text elsewhere in its file is one of them."""
    by_file: dict[str, list[tuple[ReportedValue, int]]] = {}
    for value in reported:
        if value.texts and value.finding.location.line is not None:
            last_line = _find_last_line(tree, value.finding.location)
            by_file.setdefault(value.finding.location.file, []).append((value, last_line))
    used = Counter[tuple[int, str, bytes]]()
    for candidate in candidates:
        values = by_file.get(candidate.finding.location.file, ())
        if not any(_is_covered(candidate, value, last_line, used) for value, last_line in values):
            yield candidate


def _is_covered(
    candidate: LeakCandidate, value: ReportedValue, last_line: int, used: Counter[tuple[int, str, bytes]]
) -> bool:
    place, start = candidate.finding.location, value.finding.location
    position = (place.line or 0, place.column or 0)
    if not (start.line or 0, start.column or 0) <= position <= (last_line, 1 << 31) or not candidate.texts:
        return False
    for text in candidate.texts:
        secret = _normalize(text.partition(PEM_END)[0])
        slot = (id(value), candidate.finding.rule, secret)
        if secret and used[slot] < value.count(secret):
            used[slot] += 1
            return True
    return False


def _find_last_line(tree: Tree, key: Location) -> int:
    """The last line of the value of a key: lines with more indentation than the key belong to it."""
    first, content = key.line or 1, tree.read_file(key.file)
    if isinstance(content, Gap):
        return first
    last = first
    for number, line in enumerate(content.split(b"\n")[first:], first + 1):
        if not line.strip():
            continue
        if len(line) - len(line.lstrip(b" ")) < (key.column or 1):
            break
        last = number
    return last


def _normalize(text: bytes) -> bytes:
    return FORMATTING.sub(b"", text)
