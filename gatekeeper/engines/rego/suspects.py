"""Findings whose fields have to be traced, and which of them have the same field for certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.rego.input_reads import InputReads, find_input_reads
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

    def derive_key(self) -> Key:
        """Findings with the same key often have the same field: where the value is reduced, those of one shape."""
        if self.reads is None:
            return self.query, str(self.value.get("kind"))
        json = orjson.dumps(self.value, option=orjson.OPT_SORT_KEYS).decode()
        # The message, without what it repeats of the resource.
        words = ["" if f'"{word}"' in json or word.isdigit() else word for word in WORD.findall(self.message)]
        return self.query, LEAF.sub("", json), " ".join(words), str(self.message_count)


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
        self._last_selection: tuple[InputReads | None, Any, Any] = (None, None, None)

    def build(self, suspects: Sequence[Suspect]) -> list[SuspectGroup]:
        """Returns the groups; each suspect has only what its rule reads, if that gives the same result."""
        groups: list[SuspectGroup] = []
        group_by_key: dict[bytes, SuspectGroup] = {}
        for number, suspect in enumerate(suspects):
            reduced = self._reduce(suspect)
            if reduced.reads is None:
                groups.append(SuspectGroup(suspect, [number]))
                continue
            key = orjson.dumps([reduced.query, reduced.value, reduced.message, reduced.message_count])
            group_by_key.setdefault(key, SuspectGroup(reduced, [])).numbers.append(number)
        reduced_groups = list(group_by_key.values())
        for group, is_same in zip(
            reduced_groups, self._confirm([each.suspect for each in reduced_groups]), strict=True
        ):
            if is_same:
                groups.append(group)
            else:
                groups.extend(SuspectGroup(suspects[number], [number]) for number in group.numbers)
        return groups

    def _reduce(self, suspect: Suspect) -> Suspect:
        """Reduces a suspect to what its rule reads, if the text of its package shows that."""
        module = self._modules.get(suspect.query)
        if module is None:
            return suspect
        if module.package not in self._reads:
            texts = [each.text for each in self._packages if each.package == module.package]
            self._reads[module.package] = find_input_reads(texts) if texts else None
        reads = self._reads[module.package]
        if reads is None:
            return suspect
        value, message = reads.replace_name(self._select(reads, suspect.value), suspect.message)
        return suspect._replace(value=value, message=message, reads=reads)

    def _select(self, reads: InputReads, value: Any) -> Any:
        """What the rules read of a value; the findings of one resource follow each other."""
        last_reads, last_value, selected = self._last_selection
        if last_reads is not reads or last_value is not value:
            selected = reads.select(value)
            self._last_selection = reads, value, selected
        return selected

    def _confirm(self, suspects: Sequence[Suspect]) -> list[bool]:
        """Whether each finding is the same on what the rule reads as on the whole resource."""
        inputs = [(orjson.dumps(suspect.value), (suspect.query,)) for suspect in suspects]
        messages_by_input = {
            answer.input_index: extract_messages(answer.value)
            for answer in (self._engine.evaluate(inputs) if inputs else ())
            if not answer.error
        }
        return [
            suspect.message in messages_by_input.get(number, ())
            and len(messages_by_input[number]) == suspect.message_count
            for number, suspect in enumerate(suspects)
        ]


def split_into_batches(suspects: Sequence[Suspect], keys: Sequence[Key]) -> Iterator[list[int]]:
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
