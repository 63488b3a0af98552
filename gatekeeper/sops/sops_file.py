"""SOPS files as anyone can read them, without a key: what is ciphertext, what is clear, and for whom.

Sources: getsops/sops `stores/{yaml,json,dotenv,ini}/store.go`, `stores/flatten.go`, `aes/cipher.go`, `sops.go`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gatekeeper.model import FieldPath, at
from gatekeeper.protocols import Positions
from gatekeeper.workspace import documents

MARK = "ENC[AES256_GCM,"
PART = "sops"
Format = Literal["yaml", "json", "dotenv", "ini", "binary"]
FORMATS: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}
FLAT = re.compile(r"__(list|map)_")
SECTION = re.compile(r"\[(?P<name>[^\]]*)\]\s*(?:[;#].*)?")


class Entry(NamedTuple):
    """One value, but not what it says.

    Attributes:
        path: its keys, as sops counts them: items of a list have that of the list.
        cipher: the ciphertext; empty where the value is in the clear.
        is_empty: whether there is nothing to hide: sops leaves empty texts and null alone.
        line, column: from 1.
    """

    path: tuple[str, ...]
    cipher: str
    is_empty: bool
    line: int
    column: int


class SopsFile(NamedTuple):
    """A file that sops wrote, or that says so.

    Attributes:
        metadata: what it says in `sops`; None where it has ciphertext, but no such part.
        places: where parts of the metadata stand: line and column by the first two steps of a path.
        kind: where it is a Kubernetes object, its kind.
    """

    format: Format
    metadata: Mapping[str, Any] | None
    entries: Sequence[Entry]
    places: Mapping[FieldPath, tuple[int, int]]
    kind: str = ""

    def place(self, *path: str | int) -> tuple[int, int]:
        """Line and column of a part of the metadata, or of the part around it."""
        found = (self.places.get(path[:length]) for length in range(len(path), -1, -1))
        return next((place for place in found if place), (1, 1))


def format_of(name: str) -> Format:
    """What sops takes a file for, by its name."""
    return next((form for suffix, form in FORMATS.items() if name.endswith(suffix)), "binary")


def may_be_one(content: bytes) -> bool:
    """Whether a text can be a SOPS file at all; a quick look."""
    return b"ENC[AES256_GCM," in content or b"sops" in content


def read(name: str, content: bytes, parsed: Sequence[Positions] | None = None) -> SopsFile | None:
    """A SOPS file; None for all other files.

    Args:
        parsed: the documents of the file, where they are known.
    """
    form = format_of(name)
    if form in ("dotenv", "ini"):
        lines = content.decode("utf-8", "replace").splitlines()
        return _flat(form, list(_dotenv(lines) if form == "dotenv" else _ini(lines)))
    if parsed is None:
        # Files of any other name are JSON, once they are encrypted.
        if form == "binary" and not (content.lstrip().startswith(b"{") and b'"sops"' in content):
            return None
        parsed, failure = documents.parse(content)
        if failure is not None and not parsed:
            return None
    return _tree(form, parsed)


def _tree(form: Format, parsed: Sequence[Positions]) -> SopsFile | None:
    entries: list[Entry] = []
    metadata: Mapping[str, Any] | None = None
    places: dict[FieldPath, tuple[int, int]] = {}
    kind = ""
    for document in parsed:
        value = documents.value_of(document)
        if not isinstance(value, dict):
            continue
        own = value.pop(PART, None)
        if isinstance(own, dict) and metadata is None:
            metadata = own
            places = dict(_places(document, own))
            kind = document.head[1] if document.head else ""
        entries.extend(_walk(document, value, (), ()))
    if metadata is None and not any(entry.cipher for entry in entries):
        return None
    return SopsFile(form, metadata, entries, places, kind)


def _places(document: Positions, metadata: Mapping[str, Any]) -> Iterator[tuple[FieldPath, tuple[int, int]]]:
    paths: list[FieldPath] = [(), *((key,) for key in metadata)]
    for key, held in metadata.items():
        paths.extend((key, number) for number in range(len(held) if isinstance(held, list) else 0))
    for path in paths:
        _, line, column = document.locate((PART, *path), True)
        yield path, (line, column)


def _walk(document: Positions, value: Any, path: tuple[str, ...], steps: FieldPath) -> Iterator[Entry]:
    if isinstance(value, dict):
        for key, held in value.items():
            yield from _walk(document, held, (*path, str(key)), (*steps, key))
    elif isinstance(value, list):
        for number, held in enumerate(value):
            yield from _walk(document, held, path, (*steps, number))
    else:
        _, line, column = document.locate(steps)
        yield _entry(path, value, line, column)


def _entry(path: tuple[str, ...], value: Any, line: int, column: int) -> Entry:
    is_cipher = isinstance(value, str) and value.startswith(MARK)
    return Entry(path, str(value) if is_cipher else "", value in ("", None), line, column)


Line = tuple[tuple[str, ...], str, int, int]
"""A line of a flat file: the keys, the text, line and column."""


def _flat(form: Format, found: Sequence[Line]) -> SopsFile | None:
    """A file of lines `key = value`: the metadata has names made of its path."""
    metadata: dict[str, Any] = {}
    places: dict[FieldPath, tuple[int, int]] = {}
    entries = []
    for path, text, line, column in found:
        own = _own_name(form, path)
        if own:
            steps = _unflattened(own)
            _put(metadata, steps, text.replace("\\n", "\n"))
            for length in range(min(len(steps), 2) + 1):
                places.setdefault(steps[:length], (line, column))
        else:
            entries.append(_entry(path, text, line, column))
    if not metadata and not any(entry.cipher for entry in entries):
        return None
    return SopsFile(form, metadata or None, entries, places)


def _own_name(form: Format, path: tuple[str, ...]) -> str:
    if form == "ini":
        return path[1] if path[0] == PART else ""
    return path[0].removeprefix(f"{PART}_") if path[0].startswith(f"{PART}_") else ""


def _unflattened(name: str) -> FieldPath:
    """`age__list_0__map_recipient` is `age[0].recipient`."""
    first, *rest = FLAT.split(name)
    steps: list[str | int] = [first]
    for how, step in zip(rest[::2], rest[1::2], strict=True):
        steps.append(int(step) if how == "list" and step.isdigit() else step)
    return tuple(steps)


def _put(held: dict[str, Any], steps: FieldPath, text: str) -> None:
    """Puts a text where a path leads; lists are filled in the order of their items, as sops writes them."""
    inner: Any = held
    for step, following in itertools.pairwise(steps):
        if isinstance(inner, list):
            if not isinstance(step, int) or step > len(inner):
                return
            if step == len(inner):
                inner.append([] if isinstance(following, int) else {})
        elif at(inner, (step,)) is None:
            inner[step] = [] if isinstance(following, int) else {}
        inner = inner[step]
    if isinstance(inner, dict):
        inner[steps[-1]] = text


def _dotenv(lines: Sequence[str]) -> Iterator[Line]:
    for number, text in enumerate(lines, 1):
        key, is_pair, value = text.partition("=")
        if is_pair and not text.startswith("#"):
            yield (key,), value, number, 1


def _ini(lines: Sequence[str]) -> Iterator[Line]:
    section = "DEFAULT"
    in_block = False
    for number, text in enumerate(lines, 1):
        bare = text.strip()
        # A text of several lines stands between triple quotes.
        if in_block or not bare or bare[0] in ";#":
            in_block = in_block and '"""' not in text
            continue
        if head := SECTION.fullmatch(bare):
            section = head["name"]
            continue
        key, _, value = bare.partition("=")
        in_block = value.count('"""') == 1
        yield (section, key.strip()), value.strip(), number, len(text) - len(text.lstrip()) + 1


def is_sops(name: str, content: bytes) -> bool:
    """Whether a file is one that sops encrypted, by its metadata."""
    found = read(name, content) if may_be_one(content) else None
    return found is not None and found.metadata is not None
