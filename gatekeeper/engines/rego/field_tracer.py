"""Lines for Rego that knows nothing of lines: which part of a resource a finding comes from, found by evaluation.

Take one part away and ask again: where the finding goes away, the part is its cause, or is only named in its words. To
tell these apart the part's leaves are changed: a cause can be changed so that the finding goes away, a mention only
rewords it. Parts are tried from the top down. Where nothing that is there is the cause, something is missing: then
what the rule reads, and is not there, is put there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from gatekeeper.engines.rego.loader import RegoModule
from gatekeeper.model import FieldPath, get_field
from gatekeeper.protocols import RegoEngine

INPUT_REFERENCE = re.compile(r"\binput((?:\.\w+|\[[^\]\n]*\])+)")
REFERENCE_STEP = re.compile(r"\.(\w+)|\[\"([^\"]*)\"\]|\[([^\]]*)\]")
# What a rule selects by and names: without these it finds nothing, but they are not what it finds fault with.
IDENTITY_PATHS: set[FieldPath] = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
MAX_CHILDREN = 200
MAX_USUAL_PATHS = 8
MAX_MISSING_PATHS = 20
BATCH_SIZE = 500
# Other values for the leaves of a part. Each keeps different texts different, so that no two findings become one.
LEAF_REPLACEMENTS: tuple[Callable[[Any], Any], ...] = (
    lambda leaf: f"gk{leaf}gk" if isinstance(leaf, str) else not leaf if isinstance(leaf, bool) else leaf,
    lambda leaf: f"gk-{leaf}:1.0" if isinstance(leaf, str) else leaf + 10**6 if _is_number(leaf) else leaf,
    lambda leaf: f"{leaf}@sha256:{'0' * 64}" if isinstance(leaf, str) else leaf - 10**6 if _is_number(leaf) else leaf,
)
PROBE_VALUES: tuple[Any, ...] = ("gk", True, 1, {"gk": "gk"})


class Suspect(NamedTuple):
    """A finding that names no field: the rule, the resource (as a value), the words, and how many words there were."""

    query: str
    value: Any
    message: str
    message_count: int

    @property
    def key(self) -> tuple[str, str]:
        """Findings with the same key often lie in the same places."""
        return self.query, str(self.value.get("kind"))


ProbeBatch = Sequence[tuple[int, Sequence[FieldPath]]]


class ProbeResult(NamedTuple):
    """Whether a suspect's words are gone, whether there are fewer words, and whether the rule failed."""

    is_gone: bool
    has_fewer_messages: bool
    has_failed: bool


class FieldTracer:
    """Traces findings of one engine, many at a time: every question that can be asked now goes into one request."""

    def __init__(self, engine: RegoEngine, modules: dict[str, RegoModule]) -> None:
        self._engine = engine
        self._modules = modules
        # Where findings of each key lay before: the next ones are looked for there first.
        self._usual_paths: dict[tuple[str, str], list[FieldPath]] = {}

    def trace(self, suspects: Sequence[Suspect]) -> list[FieldPath | None]:
        """The path of each finding's cause, or None where neither evaluation nor the rule's text shows one."""
        found: list[FieldPath | None] = []
        # A few first, so that the many find their usual places.
        for start, end in ((0, 20), *((start, start + BATCH_SIZE) for start in range(20, len(suspects), BATCH_SIZE))):
            found.extend(self._trace_batch(suspects[start:end]))
        return found

    def _trace_batch(self, suspects: Sequence[Suspect]) -> list[FieldPath | None]:
        paths: dict[int, FieldPath] = {}
        usual = [
            (number, [path for path in self._usual_paths.get(suspect.key, ()) if _has_path(suspect.value, path)])
            for number, suspect in enumerate(suspects)
        ]
        for (number, _), (causes, are_real) in zip(usual, self._find_causes(suspects, usual), strict=True):
            if causes and are_real:
                paths[number] = max(causes, key=len)
        rest = [number for number in range(len(suspects)) if number not in paths]
        weak = self._descend(suspects, rest, paths)
        missing = self._find_missing_fields(suspects, [number for number in rest if number not in paths])
        return [
            paths.get(number) or missing.get(number) or weak.get(number) or self._find_longest_read_path(suspect)
            for number, suspect in enumerate(suspects)
        ]

    def _descend(
        self, suspects: Sequence[Suspect], indexes: Sequence[int], paths: dict[int, FieldPath]
    ) -> dict[int, FieldPath]:
        """From the top of each resource down to the smallest part that is a cause, into `paths`; returns mentions."""
        here: dict[int, FieldPath] = dict.fromkeys(indexes, ())
        surely = dict.fromkeys(indexes, False)
        open_numbers = list(indexes)
        while open_numbers:
            asked = [(number, _list_parts(suspects[number].value, here[number])) for number in open_numbers]
            open_numbers = []
            for (number, _), (causes, are_real) in zip(asked, self._find_causes(suspects, asked), strict=True):
                # A leaf that is only mentioned is no place; a collection may yet hold what is missing.
                is_place = are_real or (not surely[number] and _is_collection(suspects[number].value, causes))
                if len(causes) == 1 and is_place:
                    here[number] = causes[0]
                    surely[number] = are_real
                    open_numbers.append(number)
        for number, path in here.items():
            if path and surely[number]:
                paths[number] = path
                known = self._usual_paths.setdefault(suspects[number].key, [])
                if path not in known and len(known) < MAX_USUAL_PATHS:
                    known.append(path)
        return {number: path for number, path in here.items() if path and number not in paths}

    def _find_causes(self, suspects: Sequence[Suspect], probes: ProbeBatch) -> list[tuple[list[FieldPath], bool]]:
        """For each suspect: the parts without which it is gone, and whether they are causes or but mentions."""
        without = self._probe(suspects, [(number, path, _remove_path) for number, paths in probes for path in paths])
        places = [(place, path) for place, (_, paths) in enumerate(probes) for path in paths]
        surely = {pair for pair, outcome in zip(places, without, strict=True) if outcome.is_gone}
        # Where a rule fails without a part (as CEL does), only a change of the part can tell.
        gone = [pair for pair, outcome in zip(places, without, strict=True) if outcome.is_gone or outcome.has_failed]
        changes = [
            (probes[place][0], path, _build_leaf_change(other)) for place, path in gone for other in LEAF_REPLACEMENTS
        ]
        fewer = [outcome.has_fewer_messages for outcome in self._probe(suspects, changes)]
        real = [
            pair
            for at, pair in enumerate(gone)
            if any(fewer[at * len(LEAF_REPLACEMENTS) : (at + 1) * len(LEAF_REPLACEMENTS)])
        ]
        found = []
        for place in range(len(probes)):
            causes = [path for owner, path in real if owner == place]
            found.append(
                (causes or [path for owner, path in gone if (owner, path) in surely and owner == place], bool(causes))
            )
        return found

    def _find_missing_fields(self, suspects: Sequence[Suspect], indexes: Sequence[int]) -> dict[int, FieldPath]:
        """What a rule reads and is not there, if the finding is gone once it is there."""
        wanted = [
            (number, path, _build_addition(value))
            for number in indexes
            for path in islice(self._list_absent_paths(suspects[number]), MAX_MISSING_PATHS)
            for value in PROBE_VALUES
        ]
        found: dict[int, FieldPath] = {}
        for (number, path, _), outcome in zip(wanted, self._probe(suspects, wanted), strict=True):
            if outcome.is_gone and outcome.has_fewer_messages and len(path) > len(found.get(number, ())):
                found[number] = path
        return found

    def _probe(
        self, suspects: Sequence[Suspect], changes: Sequence[tuple[int, FieldPath, Callable[[Any, FieldPath], Any]]]
    ) -> list[ProbeResult]:
        """What comes of each change of a suspect's resource."""
        inputs = [
            (orjson.dumps(change(suspects[number].value, path)), (suspects[number].query,))
            for number, path, change in changes
        ]
        said: dict[int, list[str] | None] = {
            answer.input_index: None if answer.error else extract_messages(answer.value)
            for answer in (self._engine.evaluate(inputs) if inputs else ())
        }
        outcomes = []
        for place, (number, _, _) in enumerate(changes):
            words = said.get(place, [])
            suspect = suspects[number]
            # A change that the rule fails on tells nothing.
            told = words if words is not None else [suspect.message] * suspect.message_count
            outcomes.append(ProbeResult(suspect.message not in told, len(told) < suspect.message_count, words is None))
        return outcomes

    def _list_absent_paths(self, suspect: Suspect) -> Iterator[FieldPath]:
        """Paths that the rule's module reads, and that are not there as a whole."""
        module = self._modules.get(suspect.query)
        for reference in dict.fromkeys(INPUT_REFERENCE.findall(module.text)) if module else ():
            steps = _parse_reference(reference)
            if steps and not _has_path(suspect.value, steps) and _has_path(suspect.value, steps[:1]):
                yield steps

    def _find_longest_read_path(self, suspect: Suspect) -> FieldPath | None:
        """The longest part that is there of any path that the rule's module reads."""
        module = self._modules.get(suspect.query)
        best: FieldPath | None = None
        for reference in INPUT_REFERENCE.findall(module.text) if module else ():
            steps = _parse_reference(reference)
            while steps and not _has_path(suspect.value, steps):
                steps = steps[:-1]
            if steps and steps not in IDENTITY_PATHS and (best is None or len(steps) > len(best)):
                best = steps
        return best


def extract_messages(value: Any) -> list[str]:
    """The texts in a rule's answer: strings, or objects with `msg`."""
    items = value if isinstance(value, list) else [value]
    return [item.get("msg", "") if isinstance(item, dict) else str(item) for item in items]


def _is_collection(value: Any, causes: Sequence[FieldPath]) -> bool:
    return bool(causes) and isinstance(get_field(value, causes[0]), dict | list)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _list_parts(value: Any, path: FieldPath) -> list[FieldPath]:
    """The parts one level below a path, less what only identifies the resource."""
    value = get_field(value, path)
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return list(islice(((*path, step) for step in steps if (*path, step) not in IDENTITY_PATHS), MAX_CHILDREN))


def _has_path(value: Any, path: FieldPath) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _copy_along_path(value: Any, path: FieldPath) -> tuple[Any, Any]:
    """A copy of a value, and within it what holds the last step of a path; all else is shared."""
    out = copy.copy(value)
    inner = out
    for step in path[:-1]:
        inner[step] = copy.copy(inner[step])
        inner = inner[step]
    return out, inner


def _remove_path(value: Any, path: FieldPath) -> Any:
    out, inner = _copy_along_path(value, path)
    held = inner.pop(path[-1])
    if path == ("metadata",) and isinstance(held, dict):
        inner["metadata"] = {key: held[key] for key in ("name", "namespace") if key in held}
    return out


def _build_leaf_change(replace_leaf: Callable[[Any], Any]) -> Callable[[Any, FieldPath], Any]:
    def leaves(value: Any, path: FieldPath) -> Any:
        if isinstance(value, dict):
            return {key: leaves(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [leaves(item, (*path, index)) for index, item in enumerate(value)]
        return value if path in IDENTITY_PATHS else replace_leaf(value)

    def change(value: Any, path: FieldPath) -> Any:
        out, inner = _copy_along_path(value, path)
        inner[path[-1]] = leaves(inner[path[-1]], path)
        return out

    return change


def _build_addition(added: Any) -> Callable[[Any, FieldPath], Any]:
    def change(value: Any, path: FieldPath) -> Any:
        [first, *rest] = path
        if isinstance(first, int) or not isinstance(value, dict):
            return value
        inner = change(value.get(first, {}), tuple(rest)) if rest else added
        return {**value, first: inner}

    return change


def _parse_reference(reference: str) -> FieldPath:
    """A reference such as `.spec.containers[_].image` as a path, the first item for a variable."""
    path: FieldPath = ()
    for name, quoted, index in REFERENCE_STEP.findall(reference):
        step: str | int = name or quoted
        path = (*path, step if step and not index else int(index) if index.isdigit() else 0)
    return path
