"""Parsing of SOPS files without a key: which values are encrypted, which are plaintext, and the metadata.

Sources: getsops/sops `stores/{yaml,json,dotenv,ini}/store.go`, `stores/flatten.go`, `aes/cipher.go`, `sops.go`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, ParsedDocument, get_field
from gatekeeper.named_tuple import NamedTuple
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
FLAT_SEPARATOR = compile_lazily(r"__(list|map)_")
SECTION_HEADER = compile_lazily(r"\[(?P<name>[^\]]*)\]\s*(?:[;#].*)?")


class SopsEntry(NamedTuple):
    """The place of one value and its ciphertext; a plaintext value is not kept.

    Attributes:
        path: the keys, as sops counts them: the items of a list have the path of the list.
        ciphertext: the ciphertext; empty for a plaintext value.
        is_empty: whether the value is an empty text or null, which sops does not encrypt.
        line, column: the position, from 1.
    """

    path: tuple[str, ...]
    ciphertext: str
    is_empty: bool
    line: int
    column: int


class SopsFile(NamedTuple):
    """A file with SOPS metadata or ciphertext.

    Attributes:
        metadata: the mapping `sops`; None for a file that has ciphertext but no metadata.
        locations: line and column of each part of the metadata, by the first two steps of its path.
        kind: the kind of the Kubernetes object; empty for other files.
    """

    format: SopsFormat
    metadata: Mapping[str, Any] | None
    entries: Sequence[SopsEntry]
    locations: Mapping[FieldPath, tuple[int, int]]
    kind: str = ""

    def locate(self, *path: str | int) -> tuple[int, int]:
        """Return line and column of a part of the metadata, or of the nearest part that encloses it."""
        locations = (self.locations.get(path[:length]) for length in range(len(path), -1, -1))
        return next((location for location in locations if location), (1, 1))


def detect_format(name: str) -> SopsFormat:
    """Return the format that sops assumes for a file name."""
    formats = (file_format for suffix, file_format in FORMATS_BY_SUFFIX.items() if name.endswith(suffix))
    return next(formats, "binary")


def is_candidate(content: bytes) -> bool:
    """Return whether a content can be a SOPS file; a fast check without parsing."""
    return b"ENC[AES256_GCM," in content or b"sops" in content


def parse_sops_file(name: str, content: bytes, parsed: Sequence[ParsedDocument] | None = None) -> SopsFile | None:
    """Parse a SOPS file; return None for any other file.

    Args:
        parsed: the documents of the file, if the caller has parsed it.
    """
    file_format = detect_format(name)
    if file_format in ("dotenv", "ini"):
        lines = content.decode("utf-8", "replace").splitlines()
        flat_lines = list(_parse_dotenv(lines) if file_format == "dotenv" else _parse_ini(lines))
        return _parse_flat(file_format, flat_lines)
    if parsed is None:
        # sops writes an encrypted file of any other name as JSON.
        if file_format == "binary" and not (content.lstrip().startswith(b"{") and b'"sops"' in content):
            return None
        parsed, failure = documents.parse(content)
        if failure is not None and not parsed:
            return None
    return _parse_tree(file_format, parsed)


def _parse_tree(file_format: SopsFormat, parsed: Sequence[ParsedDocument]) -> SopsFile | None:
    entries: list[SopsEntry] = []
    metadata: Mapping[str, Any] | None = None
    locations: dict[FieldPath, tuple[int, int]] = {}
    kind = ""
    for document in parsed:
        value = documents.to_value(document)
        if not isinstance(value, dict):
            continue
        document_metadata = value.pop(METADATA_KEY, None)
        if isinstance(document_metadata, dict) and metadata is None:
            metadata = document_metadata
            locations = dict(_locate_metadata(document, metadata))
            kind = document.head[1] if document.head else ""
        entries.extend(_walk_values(document, value, (), ()))
    if metadata is None and not any(entry.ciphertext for entry in entries):
        return None
    return SopsFile(file_format, metadata, entries, locations, kind)


def _locate_metadata(
    document: ParsedDocument, metadata: Mapping[str, Any]
) -> Iterator[tuple[FieldPath, tuple[int, int]]]:
    paths: list[FieldPath] = [(), *((key,) for key in metadata)]
    for key, items in metadata.items():
        paths.extend((key, number) for number in range(len(items) if isinstance(items, list) else 0))
    for path in paths:
        _, line, column = document.locate((METADATA_KEY, *path), True)
        yield path, (line, column)


def _walk_values(document: ParsedDocument, value: Any, path: tuple[str, ...], steps: FieldPath) -> Iterator[SopsEntry]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk_values(document, inner, (*path, str(key)), (*steps, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk_values(document, inner, path, (*steps, number))
    else:
        _, line, column = document.locate(steps)
        yield _build_entry(path, value, line, column)


def _build_entry(path: tuple[str, ...], value: Any, line: int, column: int) -> SopsEntry:
    is_cipher = isinstance(value, str) and value.startswith(CIPHERTEXT_PREFIX)
    return SopsEntry(path, str(value) if is_cipher else "", value in ("", None), line, column)


FlatLine = tuple[tuple[str, ...], str, int, int]
"""A line of a dotenv or INI file: the keys, the text, line and column."""


def _parse_flat(file_format: SopsFormat, lines: Sequence[FlatLine]) -> SopsFile | None:
    """Parse a file of lines `key = value`, in which the metadata keys are flattened paths."""
    metadata: dict[str, Any] = {}
    locations: dict[FieldPath, tuple[int, int]] = {}
    entries = []
    for path, text, line, column in lines:
        metadata_name = _extract_metadata_name(file_format, path)
        if metadata_name:
            steps = _unflatten(metadata_name)
            _put_value(metadata, steps, text.replace("\\n", "\n"))
            for length in range(min(len(steps), 2) + 1):
                locations.setdefault(steps[:length], (line, column))
        else:
            entries.append(_build_entry(path, text, line, column))
    if not metadata and not any(entry.ciphertext for entry in entries):
        return None
    return SopsFile(file_format, metadata or None, entries, locations)


def _extract_metadata_name(file_format: SopsFormat, path: tuple[str, ...]) -> str:
    if file_format == "ini":
        return path[1] if path[0] == METADATA_KEY else ""
    return path[0].removeprefix(f"{METADATA_KEY}_") if path[0].startswith(f"{METADATA_KEY}_") else ""


def _unflatten(name: str) -> FieldPath:
    """Return the path of a flattened key: `age__list_0__map_recipient` is `age[0].recipient`."""
    first, *rest = FLAT_SEPARATOR.split(name)
    steps: list[str | int] = [first]
    for step_kind, step in zip(rest[::2], rest[1::2], strict=True):
        steps.append(int(step) if step_kind == "list" and step.isdigit() else step)
    return tuple(steps)


def _put_value(metadata: dict[str, Any], steps: FieldPath, text: str) -> None:
    """Set the text at a path; sops writes the items of a list in order, so each is appended."""
    inner: Any = metadata
    for step, next_step in itertools.pairwise(steps):
        if isinstance(inner, list):
            if not isinstance(step, int) or step > len(inner):
                return
            if step == len(inner):
                inner.append([] if isinstance(next_step, int) else {})
        elif get_field(inner, (step,)) is None:
            inner[step] = [] if isinstance(next_step, int) else {}
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
        stripped = text.strip()
        # Triple quotes enclose a text of several lines.
        if in_block or not stripped or stripped[0] in ";#":
            in_block = in_block and '"""' not in text
            continue
        if header := SECTION_HEADER.fullmatch(stripped):
            section = header["name"]
            continue
        key, _, value = stripped.partition("=")
        in_block = value.count('"""') == 1
        yield (section, key.strip()), value.strip(), number, len(text) - len(text.lstrip()) + 1


def is_sops_file(name: str, content: bytes) -> bool:
    """Return whether a file is encrypted with sops, by its metadata."""
    parsed = parse_sops_file(name, content) if is_candidate(content) else None
    return parsed is not None and parsed.metadata is not None
