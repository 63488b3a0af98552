"""Findings whose fields have to be traced, and which of them have the same field for certain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.rego.input_reads import NAME_PLACEHOLDER, InputReads, find_input_reads
from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import RegoEngine

# A text or a number as a value in compact JSON; a key is followed by a colon.
LEAF = compile_lazily(r'(?<=[:,\[])(?:"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)(?=[,}\]])')
# A word of a message, without punctuation around it.
WORD = compile_lazily(r"\w(?:\S*\w)?")
# What findings with the same field often have in common.
Key = tuple[str, ...]
# How many whole resources are traced first: they show the usual paths for all others.
FIRST_BATCH_SIZE = 20
BATCH_SIZE = 500


class Suspect(NamedTuple):
    """A finding without a field: its query, the resource as a value, its message, and the number of messages.

    Attributes:
        reads: what the rule reads, if the value has nothing else; None if it is the whole resource.
    """

    query: str
    value: Any
    message: str
    message_count: int
    reads: InputReads | None = None


class Reduction(NamedTuple):
    """What the rules of a package read of one resource: as a value, as JSON, and the name that it has no more.

    Attributes:
        name: the name of the resource, if the value has another one instead; else empty.
    """

    value: Any
    json: bytes
    name: str


class SuspectGroup(NamedTuple):
    """Findings with the same field: the one to trace, and the numbers of all."""

    suspect: Suspect
    numbers: list[int]


class SuspectGroups:
    """Groups findings by what their rules read.

    Args:
        modules: the module of each query.
        packages: all modules, as those of one package use each other's rules.
    """

    def __init__(self, engine: RegoEngine, modules: Mapping[str, RegoModule], packages: Sequence[RegoModule]) -> None:
        self._engine = engine
        self._modules = modules
        self._packages = packages
        # What each package reads; None if its text does not show that.
        self._reads: dict[str, InputReads | None] = {}
        # The findings of one resource follow each other: it is reduced once for all of them.
        self._last_reduction: tuple[InputReads | None, Any, Reduction] = (None, None, Reduction(None, b"", ""))

    def build(self, suspects: Sequence[Suspect]) -> list[SuspectGroup]:
        """Returns the groups; each suspect has only what its rule reads, if that gives the same result."""
        groups: list[SuspectGroup] = []
        group_by_key: dict[tuple[str, bytes, str, int], SuspectGroup] = {}
        for number, suspect in enumerate(suspects):
            reads = self._find_reads(suspect.query)
            if reads is None:
                groups.append(SuspectGroup(suspect, [number]))
                continue
            query, _, message, count, _ = suspect
            reduction = self._reduce(reads, suspect.value)
            if reduction.name:
                message = message.replace(reduction.name, NAME_PLACEHOLDER)
            key = query, reduction.json, message, count
            if key in group_by_key:
                group_by_key[key].numbers.append(number)
            else:
                group_by_key[key] = SuspectGroup(Suspect(query, reduction.value, message, count, reads), [number])
        for group, is_same in zip(group_by_key.values(), self._confirm(group_by_key), strict=True):
            if is_same:
                groups.append(group)
            else:
                groups.extend(SuspectGroup(suspects[number], [number]) for number in group.numbers)
        return groups

    def _find_reads(self, query: str) -> InputReads | None:
        """What the package of a rule reads, if its text shows that."""
        module = self._modules.get(query)
        if module is None:
            return None
        if module.package not in self._reads:
            texts = [each.text for each in self._packages if each.package == module.package]
            self._reads[module.package] = find_input_reads(texts) if texts else None
        return self._reads[module.package]

    def _reduce(self, reads: InputReads, value: Any) -> Reduction:
        last_reads, last_value, reduction = self._last_reduction
        if last_reads is not reads or last_value is not value:
            reduced, name = reads.replace_name(reads.select(value))
            reduction = Reduction(reduced, orjson.dumps(reduced), name)
            self._last_reduction = reads, value, reduction
        return reduction

    def _confirm(self, findings: Collection[tuple[str, bytes, str, int]]) -> list[bool]:
        """Whether each finding (query, JSON, message, number of messages) is the same on what the rule reads."""
        inputs = dict.fromkeys((json, (query,)) for query, json, _, _ in findings)
        numbers = {each: number for number, each in enumerate(inputs)}
        messages_by_input = {
            answer.input_index: extract_messages(answer.value)
            for answer in (self._engine.evaluate(list(numbers)) if numbers else ())
            if not answer.error
        }
        messages = [messages_by_input.get(numbers[json, (query,)], ()) for query, json, _, _ in findings]
        return [
            message in found and len(found) == count
            for (_, _, message, count), found in zip(findings, messages, strict=True)
        ]


def derive_keys(suspects: Sequence[Suspect]) -> list[Key]:
    """Findings with the same key often have the same field: where the value is reduced, those of one shape."""
    keys: list[Key] = []
    last_value: Any = None
    json = shape = ""
    for suspect in suspects:
        if suspect.reads is None:
            keys.append((suspect.query, str(suspect.value.get("kind"))))
            continue
        if suspect.value is not last_value:
            last_value = suspect.value
            json = orjson.dumps(last_value, option=orjson.OPT_SORT_KEYS).decode()
            shape = LEAF.sub("", json)
        # The message, without what it repeats of the resource.
        words = ["" if f'"{word}"' in json or word.isdigit() else word for word in WORD.findall(suspect.message)]
        keys.append((suspect.query, shape, " ".join(words), str(suspect.message_count)))
    return keys


def split_batches(suspects: Sequence[Suspect], keys: Sequence[Key]) -> Iterator[list[int]]:
    """The numbers of the suspects: first one of each shape and some whole resources, which show the fields to try."""
    whole = (number for number, suspect in enumerate(suspects[:FIRST_BATCH_SIZE]) if suspect.reads is None)
    first_by_key: dict[Key, int] = {}
    for number, key in enumerate(keys):
        first_by_key.setdefault(key, number)
    first = dict.fromkeys((*whole, *first_by_key.values()))
    rest = [number for number in range(len(suspects)) if number not in first]
    for batch in (list(first), rest):
        yield from (batch[start : start + BATCH_SIZE] for start in range(0, len(batch), BATCH_SIZE))


def extract_messages(value: Any) -> list[str]:
    """Extracts the messages from the answer of a rule: strings, or objects with `msg`."""
    items = value if isinstance(value, list) else [value]
    return [item.get("msg", "") if isinstance(item, dict) else str(item) for item in items]
