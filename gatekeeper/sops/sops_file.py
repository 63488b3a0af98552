"""SOPS files as anyone can read them, without a key: what is ciphertext, what is clear, and for whom.

Sources: getsops/sops `stores/{yaml,json,dotenv,ini}/store.go`, `stores/flatten.go`, `aes/cipher.go`, `sops.go`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gatekeeper.model import FieldPath, get_field
from gatekeeper.protocols import ParsedDocument
from gatekeeper.workspace import documents

CIPHERTEXT_PREFIX = "ENC[AES256_GCM,"
METADATA_KEY = "sops"
SopsFormat = Literal["yaml", "json", "dotenv", "ini", "binary"]
FORMATS_BY_SUFFIX: dict[str, SopsFormat] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".env": "dotenv",
    ".ini": "ini",
}
FLAT_SEPARATOR = re.compile(r"__(list|map)_")
SECTION_HEADER = re.compile(r"\[(?P<name>[^\]]*)\]\s*(?:[;#].*)?")


class SopsEntry(NamedTuple):
    """One value, but not what it says.

    Attributes:
        path: its keys, as sops counts them: items of a list have that of the list.
        ciphertext: the ciphertext; empty where the value is in the clear.
        is_empty: whether there is nothing to hide: sops leaves empty texts and null alone.
        line, column: from 1.
    """

    path: tuple[str, ...]
    ciphertext: str
    is_empty: bool
    line: int
    column: int


class SopsFile(NamedTuple):
    """A file that sops wrote, or that says so.

    Attributes:
        metadata: what it says in `sops`; None where it has ciphertext, but no such part.
        locations: where parts of the metadata stand: line and column by the first two steps of a path.
        kind: where it is a Kubernetes object, its kind.
    """

    format: SopsFormat
    metadata: Mapping[str, Any] | None
    entries: Sequence[SopsEntry]
    locations: Mapping[FieldPath, tuple[int, int]]
    kind: str = ""

    def locate(self, *path: str | int) -> tuple[int, int]:
        """Line and column of a part of the metadata, or of the part around it."""
        found = (self.locations.get(path[:length]) for length in range(len(path), -1, -1))
        return next((place for place in found if place), (1, 1))


def detect_format(name: str) -> SopsFormat:
    """What sops takes a file for, by its name."""
    return next((form for suffix, form in FORMATS_BY_SUFFIX.items() if name.endswith(suffix)), "binary")


def is_candidate(content: bytes) -> bool:
    """Whether a text can be a SOPS file at all; a quick look."""
    return b"ENC[AES256_GCM," in content or b"sops" in content


def parse_sops_file(name: str, content: bytes, parsed: Sequence[ParsedDocument] | None = None) -> SopsFile | None:
    """A SOPS file; None for all other files.

    Args:
        parsed: the documents of the file, where they are known.
    """
    form = detect_format(name)
    if form in ("dotenv", "ini"):
        lines = content.decode("utf-8", "replace").splitlines()
        return _parse_flat(form, list(_parse_dotenv(lines) if form == "dotenv" else _parse_ini(lines)))
    if parsed is None:
        # Files of any other name are JSON, once they are encrypted.
        if form == "binary" and not (content.lstrip().startswith(b"{") and b'"sops"' in content):
            return None
        parsed, failure = documents.parse(content)
        if failure is not None and not parsed:
            return None
    return _parse_tree(form, parsed)


def _parse_tree(file_format: SopsFormat, parsed: Sequence[ParsedDocument]) -> SopsFile | None:
    entries: list[SopsEntry] = []
    metadata: Mapping[str, Any] | None = None
    places: dict[FieldPath, tuple[int, int]] = {}
    kind = ""
    for document in parsed:
        value = documents.to_value(document)
        if not isinstance(value, dict):
            continue
        own = value.pop(METADATA_KEY, None)
        if isinstance(own, dict) and metadata is None:
            metadata = own
            places = dict(_locate_metadata(document, own))
            kind = document.head[1] if document.head else ""
        entries.extend(_walk_values(document, value, (), ()))
    if metadata is None and not any(entry.ciphertext for entry in entries):
        return None
    return SopsFile(file_format, metadata, entries, places, kind)


def _locate_metadata(
    document: ParsedDocument, metadata: Mapping[str, Any]
) -> Iterator[tuple[FieldPath, tuple[int, int]]]:
    paths: list[FieldPath] = [(), *((key,) for key in metadata)]
    for key, held in metadata.items():
        paths.extend((key, number) for number in range(len(held) if isinstance(held, list) else 0))
    for path in paths:
        _, line, column = document.locate((METADATA_KEY, *path), True)
        yield path, (line, column)


def _walk_values(document: ParsedDocument, value: Any, path: tuple[str, ...], steps: FieldPath) -> Iterator[SopsEntry]:
    if isinstance(value, dict):
        for key, held in value.items():
            yield from _walk_values(document, held, (*path, str(key)), (*steps, key))
    elif isinstance(value, list):
        for number, held in enumerate(value):
            yield from _walk_values(document, held, path, (*steps, number))
    else:
        _, line, column = document.locate(steps)
        yield _build_entry(path, value, line, column)


def _build_entry(path: tuple[str, ...], value: Any, line: int, column: int) -> SopsEntry:
    is_cipher = isinstance(value, str) and value.startswith(CIPHERTEXT_PREFIX)
    return SopsEntry(path, str(value) if is_cipher else "", value in ("", None), line, column)


FlatLine = tuple[tuple[str, ...], str, int, int]
"""A line of a flat file: the keys, the text, line and column."""


def _parse_flat(file_format: SopsFormat, lines: Sequence[FlatLine]) -> SopsFile | None:
    """A file of lines `key = value`: the metadata has names made of its path."""
    metadata: dict[str, Any] = {}
    places: dict[FieldPath, tuple[int, int]] = {}
    entries = []
    for path, text, line, column in lines:
        own = _extract_metadata_name(file_format, path)
        if own:
            steps = _unflatten(own)
            _put_value(metadata, steps, text.replace("\\n", "\n"))
            for length in range(min(len(steps), 2) + 1):
                places.setdefault(steps[:length], (line, column))
        else:
            entries.append(_build_entry(path, text, line, column))
    if not metadata and not any(entry.ciphertext for entry in entries):
        return None
    return SopsFile(file_format, metadata or None, entries, places)


def _extract_metadata_name(file_format: SopsFormat, path: tuple[str, ...]) -> str:
    if file_format == "ini":
        return path[1] if path[0] == METADATA_KEY else ""
    return path[0].removeprefix(f"{METADATA_KEY}_") if path[0].startswith(f"{METADATA_KEY}_") else ""


def _unflatten(name: str) -> FieldPath:
    """`age__list_0__map_recipient` is `age[0].recipient`."""
    first, *rest = FLAT_SEPARATOR.split(name)
    steps: list[str | int] = [first]
    for how, step in zip(rest[::2], rest[1::2], strict=True):
        steps.append(int(step) if how == "list" and step.isdigit() else step)
    return tuple(steps)


def _put_value(metadata: dict[str, Any], steps: FieldPath, text: str) -> None:
    """Puts a text where a path leads; lists are filled in the order of their items, as sops writes them."""
    inner: Any = metadata
    for step, following in itertools.pairwise(steps):
        if isinstance(inner, list):
            if not isinstance(step, int) or step > len(inner):
                return
            if step == len(inner):
                inner.append([] if isinstance(following, int) else {})
        elif get_field(inner, (step,)) is None:
            inner[step] = [] if isinstance(following, int) else {}
        inner = inner[step]
    if isinstance(inner, dict):
        inner[steps[-1]] = text


def _parse_dotenv(lines: Sequence[str]) -> Iterator[FlatLine]:
    for number, text in enumerate(lines, 1):
        key, is_pair, value = text.partition("=")
        if is_pair and not text.startswith("#"):
            yield (key,), value, number, 1


def _parse_ini(lines: Sequence[str]) -> Iterator[FlatLine]:
    section = "DEFAULT"
    in_block = False
    for number, text in enumerate(lines, 1):
        bare = text.strip()
        # A text of several lines stands between triple quotes.
        if in_block or not bare or bare[0] in ";#":
            in_block = in_block and '"""' not in text
            continue
        if head := SECTION_HEADER.fullmatch(bare):
            section = head["name"]
            continue
        key, _, value = bare.partition("=")
        in_block = value.count('"""') == 1
        yield (section, key.strip()), value.strip(), number, len(text) - len(text.lstrip()) + 1


def is_sops_file(name: str, content: bytes) -> bool:
    """Whether a file is one that sops encrypted, by its metadata."""
    found = parse_sops_file(name, content) if is_candidate(content) else None
    return found is not None and found.metadata is not None
