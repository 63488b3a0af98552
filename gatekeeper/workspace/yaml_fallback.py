"""The reader of YAML on PyYAML's events: for machines without the compiled one, and the second opinion beside it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import yaml

from gatekeeper.model import FieldPath, at

MAX_DEPTH = 200
ALIAS_FACTOR, ALIAS_FLOOR, ALIAS_CEILING = 100, 100_000, 4_000_000

NULLS = {"", "~", "null", "Null", "NULL"}
TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
NOT_JSON = re.compile(r"\.(nan|NaN|NAN)|[-+]?\.(inf|Inf|INF)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"0x([0-9a-f]+)|0b([01]+)|0o?([0-7]+)|(0|[1-9][0-9]*)", re.IGNORECASE)
# What a value must be that is tagged so; a whole number is a float too.
TAGGED: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
CORE = "tag:yaml.org,2002:"

Mark = tuple[int, int]


class _Refusal(Exception):
    def __init__(self, message: str, mark: Mark) -> None:
        super().__init__(message)
        self.mark = mark


class _Node:
    """A value and where it stands; for mappings, each key's own mark too."""

    __slots__ = ("items", "mark", "value")

    def __init__(self, mark: Mark, value: Any = None, items: Any = None) -> None:
        self.mark = mark
        self.value = value
        self.items = items


class Document:
    """One document of a file; see `gatekeeper.protocols.Positions`."""

    __slots__ = ("_root", "duplicates", "json", "start")

    def __init__(self, root: _Node, json: bytes, duplicates: Sequence[tuple[str, int, int, int]]) -> None:
        self._root = root
        self.json = json
        self.start = root.mark
        self.duplicates = duplicates

    @property
    def head(self) -> tuple[str, str, str, str] | None:
        """A Kubernetes object's apiVersion, kind, namespace and name; None for anything else."""
        value = orjson.loads(self.json)
        metadata = at(value, ("metadata",))
        version, kind = at(value, ("apiVersion",)), at(value, ("kind",))
        if not isinstance(version, str) or not isinstance(kind, str) or not kind:
            return None
        named = (at(metadata, (field,)) for field in ("namespace", "name"))
        namespace, name = (text if isinstance(text, str) else "" for text in named)
        return version, kind, namespace, name

    def locate(self, path: FieldPath, key: bool = False) -> tuple[int, int, int]:
        """How many steps of the path exist, and where the last of them stands."""
        node, mark = self._root, self._root.mark
        for depth, step in enumerate(path):
            if isinstance(node.items, dict) and isinstance(step, str) and step in node.items:
                key_mark, node = node.items[step]
                mark = key_mark if key or node.items is not None else node.mark
            elif isinstance(node.items, list) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                mark = node.mark
            else:
                return depth, *mark
        return len(path), *mark


def parse_yaml(texts: Sequence[bytes], jobs: int) -> list[tuple[list[Document], tuple[str, int, int] | None]]:
    """The documents of each text, in order: (documents, None or (message, line, column))."""
    del jobs  # PyYAML holds the interpreter's lock, so threads would gain nothing
    return [_parse(text) for text in texts]


def _parse(text: bytes) -> tuple[list[Document], tuple[str, int, int] | None]:
    found: list[Document] = []
    try:
        events = iter(yaml.parse(text.decode("utf-8").removeprefix("\ufeff"), Loader=yaml.CSafeLoader))
        starts = (event for event in events if isinstance(event, yaml.DocumentStartEvent))
        found.extend(_Composer(events).document() for _ in starts)
    except _Refusal as refusal:
        return found, (str(refusal), *refusal.mark)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = error.problem or error.context or "cannot be read"
        return found, (words, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)
    except yaml.YAMLError as error:
        return found, (str(error).splitlines()[0], 1, 1)
    return found, None


class _Composer:
    """Builds one document from the events that follow its start."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.events = events
        self.anchors: dict[str, _Node] = {}
        self.duplicates: list[tuple[str, int, int, int]] = []
        self.written = 0

    def document(self) -> Document:
        root = self.node(next(self.events), 0)
        budget = min(max(self.written * ALIAS_FACTOR, ALIAS_FLOOR), ALIAS_CEILING)
        value, spent = _expand(root, budget)
        if spent > budget:
            raise _Refusal(f"aliases expand to more than {budget} values", root.mark)
        return Document(root, orjson.dumps(value), self.duplicates)

    def node(self, event: yaml.Event, depth: int) -> _Node:
        mark = _mark(event)
        if depth > MAX_DEPTH:
            raise _Refusal(f"nested more than {MAX_DEPTH} levels deep", mark)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _Refusal("an alias names an anchor that contains it, or that does not exist", mark)
            return self.anchors[event.anchor]
        self.written += 1
        node = _Node(mark)
        if isinstance(event, yaml.ScalarEvent):
            node.value = scalar(event.value, plain=event.style in (None, ""), tag=event.tag, mark=mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.items = self.sequence(depth)
        else:
            node.items = self.mapping(depth)
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = node
        return node

    def sequence(self, depth: int) -> list[_Node]:
        items: list[_Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return items

    def mapping(self, depth: int) -> dict[str, tuple[Mark, _Node]]:
        entries: dict[str, tuple[Mark, _Node]] = {}
        merges: list[tuple[Mark, _Node]] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key_node = self.node(event, depth + 1)
            mark = _mark(event)
            value = self.node(next(self.events), depth + 1)
            if isinstance(event, yaml.ScalarEvent) and event.style in (None, "") and event.value == "<<":
                merges.append((mark, value))
                continue
            key = _key(key_node, mark)
            if key in entries:
                self.duplicates.append((key, *mark, entries.pop(key)[0][0]))
            entries[key] = (mark, value)
        for mark, source in merges:
            _merge(entries, source, mark)
        return entries


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _key(node: _Node, mark: Mark) -> str:
    if node.items is not None or node.value is None:
        raise _Refusal("a key must be a text, a number or a boolean", mark)
    return node.value if isinstance(node.value, str) else orjson.dumps(node.value).decode()


def _merge(entries: dict[str, tuple[Mark, _Node]], source: _Node, mark: Mark) -> None:
    if isinstance(source.items, dict):
        for key, entry in source.items.items():
            entries.setdefault(key, entry)
    elif isinstance(source.items, list) and all(isinstance(item.items, dict) for item in source.items):
        for item in source.items:
            _merge(entries, item, mark)
    else:
        raise _Refusal("a merge key (<<) needs a mapping or a list of mappings", mark)


def _expand(node: _Node, budget: int) -> tuple[Any, int]:
    """The plain value, and how many nodes it took; stops once that is over the budget."""
    spent = 1
    if isinstance(node.items, dict):
        mapping: dict[str, Any] = {}
        for key, (_, child) in node.items.items():
            if spent > budget:
                break
            mapping[key], more = _expand(child, budget - spent)
            spent += more
        return mapping, spent
    if isinstance(node.items, list):
        items: list[Any] = []
        for child in node.items:
            if spent > budget:
                break
            item, more = _expand(child, budget - spent)
            items.append(item)
            spent += more
        return items, spent
    return node.value, spent


def scalar(text: str, plain: bool, tag: str | None, mark: Mark = (1, 1)) -> Any:
    """A scalar as Kubernetes types it: go-yaml v2's `resolve`, which sigs.k8s.io/yaml uses."""
    kind = tag.removeprefix(CORE) if tag and tag.startswith(CORE) else tag
    if kind in TAGGED:
        value = _plain(text, mark)
        if type(value) not in TAGGED[kind]:
            raise _Refusal(f"a value is tagged !!{kind}, but is none", mark)
        return value
    if kind == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except ValueError as error:
            raise _Refusal("a value is tagged !!binary, but is no base64", mark) from error
    return _plain(text, mark) if plain and not kind else text


def _plain(text: str, mark: Mark) -> Any:
    if text in NULLS:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    if NOT_JSON.fullmatch(text):
        raise _Refusal(f"{text} has no form in JSON, so Kubernetes cannot read it", mark)
    if text[0] not in "0123456789+-.":
        return text
    return _number(text.replace("_", ""), text)


def _number(bare: str, text: str) -> Any:
    sign, digits = (bare[0], bare[1:]) if bare[:1] in ("-", "+") else ("", bare)
    found = INTEGER.fullmatch(digits)
    if found:
        base = next(base for base, part in zip((16, 2, 8, 10), found.groups(), strict=True) if part is not None)
        value = int(next(part for part in found.groups() if part is not None), base)
        value = -value if sign == "-" else value
        if -(2**63) <= value < 2**64:
            return value
    if not FLOAT.fullmatch(bare):
        return text
    number = float(bare)
    if number in (float("inf"), float("-inf")):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 and abs(number) < 2**63 else number
