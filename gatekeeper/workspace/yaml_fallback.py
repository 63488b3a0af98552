"""The YAML parser on PyYAML's events: for installations without the compiled parser, and as its second opinion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import yaml

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, get_field
from gatekeeper.workspace import json_text
from gatekeeper.workspace.yaml_scalars import Mark, YamlSyntaxError, resolve_scalar

MAX_DEPTH = 200
ALIAS_FACTOR, ALIAS_FLOOR, ALIAS_CEILING = 100, 100_000, 4_000_000
# How many bytes of JSON the documents of a file may have together, per byte of text (and in addition).
EXPANSION_FACTOR, EXPANSION_BYTES = 8, 4 * 1024 * 1024

MERGE_KEY = "<<"
# At the start of a line, but not of a document.
MISPLACED_MARK = compile_lazily(r"^(?!---)[^\n]*[\n\r\x85\u2028\u2029]\ufeff", re.MULTILINE)
ESCAPED = compile_lazily(r"\\(.)", re.DOTALL)


class _Node:
    """A value and its place; for mappings also the place of each key."""

    __slots__ = ("items", "mark", "value")

    def __init__(self, mark: Mark, value: Any = None, items: Any = None) -> None:
        self.mark = mark
        self.value = value
        self.items = items


class FallbackDocument:
    """One document of a file; implements `gatekeeper.model.ParsedDocument`."""

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
        metadata = get_field(value, ("metadata",))
        version, kind = get_field(value, ("apiVersion",)), get_field(value, ("kind",))
        if not isinstance(version, str) or not isinstance(kind, str) or not kind:
            return None
        named = (get_field(metadata, (field,)) for field in ("namespace", "name"))
        namespace, name = (text if isinstance(text, str) else "" for text in named)
        return version, kind, namespace, name

    def locate(self, path: FieldPath, key: bool = False) -> tuple[int, int, int]:
        """The number of steps of the path that exist, and the line and column of the last of them."""
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


def parse_yaml(texts: Sequence[bytes], jobs: int) -> list[tuple[list[FallbackDocument], tuple[str, int, int] | None]]:
    """Parses texts, with the result of each in order: documents, and None or (message, line, column)."""
    del jobs  # PyYAML holds the interpreter's lock, so threads would gain nothing
    return [_parse_text(text) for text in texts]


def _parse_text(text: bytes) -> tuple[list[FallbackDocument], tuple[str, int, int] | None]:
    documents: list[FallbackDocument] = []
    try:
        source = (json_text.rewrite_for_yaml(text) or text).decode("utf-8").removeprefix("\ufeff")
        events = _check_events(source, yaml.parse(source, Loader=yaml.CSafeLoader))
        starts = (event for event in events if isinstance(event, yaml.DocumentStartEvent))
        left = len(text) * EXPANSION_FACTOR + EXPANSION_BYTES
        for _ in starts:
            document, size = _Composer(events).compose_document(left)
            documents.append(document)
            left -= size
    except YamlSyntaxError as refusal:
        return documents, (str(refusal), *refusal.mark)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = error.problem or error.context or "cannot be read"
        return documents, (words, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)
    except yaml.YAMLError as error:
        return documents, (str(error).splitlines()[0], 1, 1)
    return documents, None


def _check_events(source: str, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """The events of a text, without what libyaml takes and go-yaml refuses.

    Source: go-yaml v2 `parserc.go` (yaml_parser_process_directives) and `scannerc.go` (escape sequences).
    """
    if found := MISPLACED_MARK.search(source):
        line = source.count("\n", 0, found.start()) + 2
        raise YamlSyntaxError("a byte order mark (U+FEFF) within the text: remove it", (line, 1))
    has_slashes = "\\/" in source
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 1)):
            version = ".".join(map(str, event.version))
            raise YamlSyntaxError(
                f"the directive `%YAML {version}`: Kubernetes reads YAML 1.1 only; remove the line", _read_mark(event)
            )
        if has_slashes and isinstance(event, yaml.ScalarEvent) and event.style == '"':
            start, end = event.start_mark, event.end_mark
            written = source[start.index : end.index] if start and end else ""
            if "/" in ESCAPED.findall(written):
                raise YamlSyntaxError('`\\/` in a quoted text: Kubernetes refuses it; write "/"', _read_mark(event))
        yield event


class _Composer:
    """Builds one document from its events."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.events = events
        self.anchors: dict[str, _Node] = {}
        self.duplicates: list[tuple[str, int, int, int]] = []
        self.node_count = 0

    def compose_document(self, most: int) -> tuple[FallbackDocument, int]:
        """The document and its size in bytes, which may not be more than `most`."""
        root = self.compose_node(next(self.events), 0)
        size = _measure_json(root, {})
        if size > most:
            raise YamlSyntaxError(f"aliases expand to more than {most} bytes", root.mark)
        budget = min(max(self.node_count * ALIAS_FACTOR, ALIAS_FLOOR), ALIAS_CEILING)
        value, spent = _expand_aliases(root, budget)
        if spent > budget:
            raise YamlSyntaxError(f"aliases expand to more than {budget} values", root.mark)
        return FallbackDocument(root, orjson.dumps(value), self.duplicates), size

    def compose_node(self, event: yaml.Event, depth: int) -> _Node:
        mark = _read_mark(event)
        if depth > MAX_DEPTH:
            raise YamlSyntaxError(f"nested more than {MAX_DEPTH} levels deep", mark)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise YamlSyntaxError("an alias names an anchor that contains it, or that does not exist", mark)
            return self.anchors[event.anchor]
        self.node_count += 1
        node = _Node(mark)
        if isinstance(event, yaml.ScalarEvent):
            node.value = resolve_scalar(event.value, is_plain=event.style in (None, ""), tag=event.tag, mark=mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.items = self.compose_sequence(depth)
        else:
            node.items = self.compose_mapping(depth)
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = node
        return node

    def compose_sequence(self, depth: int) -> list[_Node]:
        items: list[_Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.compose_node(event, depth + 1))
        return items

    def compose_mapping(self, depth: int) -> dict[str, tuple[Mark, _Node]]:
        """The entries in the order of the text: a merge key overrides what comes before it, as in go-yaml v2."""
        entries: dict[str, tuple[Mark, _Node]] = {}
        merged_keys: set[str] = set()
        overridden: dict[str, tuple[str, int, int, int]] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = _read_mark(event)
            if _is_merge_key(event):
                for key, entry in self.compose_merge_source(mark, depth).items():
                    if key in entries and not _is_same(entries[key][1], entry[1]):
                        overridden[key] = (MERGE_KEY, *mark, entries[key][0][0])
                    entries[key] = entry
                    merged_keys.add(key)
                continue
            key_node = self.compose_node(event, depth + 1)
            value = self.compose_node(next(self.events), depth + 1)
            key = _format_key(key_node, mark)
            overridden.pop(key, None)
            if key in entries and key not in merged_keys:
                self.duplicates.append((key, *mark, entries.pop(key)[0][0]))
            merged_keys.discard(key)
            entries[key] = (mark, value)
        self.duplicates.extend(overridden.values())
        return entries

    def compose_merge_source(self, mark: Mark, depth: int) -> dict[str, tuple[Mark, _Node]]:
        """The entries that a merge key brings; of a list of mappings the first has the last word."""
        event = next(self.events)
        source = self.compose_node(event, depth + 1)
        if isinstance(source.items, dict):
            return source.items
        is_list = isinstance(source.items, list) and not isinstance(event, yaml.AliasEvent)
        if not is_list or not all(isinstance(item.items, dict) for item in source.items):
            raise YamlSyntaxError("a merge key (<<) needs a mapping or a list of mappings", mark)
        entries: dict[str, tuple[Mark, _Node]] = {}
        for item in reversed(source.items):
            entries |= item.items
        return entries


def _read_mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _format_key(node: _Node, mark: Mark) -> str:
    if node.items is not None or node.value is None:
        raise YamlSyntaxError("a key must be a text, a number or a boolean", mark)
    return node.value if isinstance(node.value, str) else orjson.dumps(node.value).decode()


def _is_merge_key(event: yaml.Event) -> bool:
    """Source: go-yaml v2 `isMerge`; the tag `!` makes any scalar implicit."""
    if not isinstance(event, yaml.ScalarEvent) or event.value != MERGE_KEY:
        return False
    return event.implicit[0] or event.tag in ("!", "tag:yaml.org,2002:merge")


def _is_same(first: _Node, second: _Node) -> bool:
    """Whether two nodes certainly have the same value."""
    is_scalar = first.items is None and second.items is None
    return first is second or (is_scalar and type(first.value) is type(second.value) and first.value == second.value)


def _measure_json(node: _Node, sizes: dict[int, int]) -> int:
    """The size of a value in JSON, nearly, with its aliases expanded; in the time of reading what was written."""
    if id(node) not in sizes:
        if isinstance(node.items, dict):
            size = sum(len(key) + 4 + _measure_json(child, sizes) for key, (_, child) in node.items.items())
        elif isinstance(node.items, list):
            size = sum(1 + _measure_json(child, sizes) for child in node.items)
        else:
            size = len(str(node.value))
        sizes[id(node)] = size + 2
    return sizes[id(node)]


def _expand_aliases(node: _Node, budget: int) -> tuple[Any, int]:
    """The value without aliases, and its number of nodes; stops once that exceeds the budget."""
    spent = 1
    if isinstance(node.items, dict):
        mapping: dict[str, Any] = {}
        for key, (_, child) in node.items.items():
            if spent > budget:
                break
            mapping[key], more = _expand_aliases(child, budget - spent)
            spent += more
        return mapping, spent
    if isinstance(node.items, list):
        items: list[Any] = []
        for child in node.items:
            if spent > budget:
                break
            item, more = _expand_aliases(child, budget - spent)
            items.append(item)
            spent += more
        return items, spent
    return node.value, spent
