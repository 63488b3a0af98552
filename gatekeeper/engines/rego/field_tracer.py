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

from gatekeeper.engines.rego.loader import Module
from gatekeeper.model import FieldPath, at
from gatekeeper.protocols import RegoEngine

REFERENCE = re.compile(r"\binput((?:\.\w+|\[[^\]\n]*\])+)")
STEP = re.compile(r"\.(\w+)|\[\"([^\"]*)\"\]|\[([^\]]*)\]")
# What a rule selects by and names: without these it finds nothing, but they are not what it finds fault with.
IDENTITY: set[FieldPath] = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
MOST_CHILDREN = 200
MOST_USUAL = 8
MOST_MISSING = 20
AT_ONCE = 500
# Other values for the leaves of a part. Each keeps different texts different, so that no two findings become one.
OTHERS: tuple[Callable[[Any], Any], ...] = (
    lambda leaf: f"gk{leaf}gk" if isinstance(leaf, str) else not leaf if isinstance(leaf, bool) else leaf,
    lambda leaf: f"gk-{leaf}:1.0" if isinstance(leaf, str) else leaf + 10**6 if _is_number(leaf) else leaf,
    lambda leaf: f"{leaf}@sha256:{'0' * 64}" if isinstance(leaf, str) else leaf - 10**6 if _is_number(leaf) else leaf,
)
PRESENT: tuple[Any, ...] = ("gk", True, 1, {"gk": "gk"})


class Suspect(NamedTuple):
    """A finding that names no field: the rule, the resource (as a value), the words, and how many words there were."""

    query: str
    value: Any
    message: str
    total: int

    @property
    def key(self) -> tuple[str, str]:
        """Findings with the same key often lie in the same places."""
        return self.query, str(self.value.get("kind"))


Asked = Sequence[tuple[int, Sequence[FieldPath]]]


class Outcome(NamedTuple):
    """Whether a suspect's words are gone, whether there are fewer words, and whether the rule failed."""

    is_gone: bool
    is_fewer: bool
    has_failed: bool


class Tracer:
    """Traces findings of one engine, many at a time: every question that can be asked now goes into one request."""

    def __init__(self, engine: RegoEngine, modules: dict[str, Module]) -> None:
        self._engine = engine
        self._modules = modules
        # Where findings of each key lay before: the next ones are looked for there first.
        self._usual: dict[tuple[str, str], list[FieldPath]] = {}

    def trace(self, suspects: Sequence[Suspect]) -> list[FieldPath | None]:
        """The path of each finding's cause, or None where neither evaluation nor the rule's text shows one."""
        found: list[FieldPath | None] = []
        # A few first, so that the many find their usual places.
        for start, end in ((0, 20), *((start, start + AT_ONCE) for start in range(20, len(suspects), AT_ONCE))):
            found.extend(self._some(suspects[start:end]))
        return found

    def _some(self, suspects: Sequence[Suspect]) -> list[FieldPath | None]:
        paths: dict[int, FieldPath] = {}
        usual = [
            (number, [path for path in self._usual.get(suspect.key, ()) if _exists(suspect.value, path)])
            for number, suspect in enumerate(suspects)
        ]
        for (number, _), (causes, are_real) in zip(usual, self._causes(suspects, usual), strict=True):
            if causes and are_real:
                paths[number] = max(causes, key=len)
        rest = [number for number in range(len(suspects)) if number not in paths]
        weak = self._down(suspects, rest, paths)
        missing = self._missing(suspects, [number for number in rest if number not in paths])
        return [
            paths.get(number) or missing.get(number) or weak.get(number) or self._read(suspect)
            for number, suspect in enumerate(suspects)
        ]

    def _down(
        self, suspects: Sequence[Suspect], numbers: Sequence[int], paths: dict[int, FieldPath]
    ) -> dict[int, FieldPath]:
        """From the top of each resource down to the smallest part that is a cause, into `paths`; returns mentions."""
        here: dict[int, FieldPath] = dict.fromkeys(numbers, ())
        surely = dict.fromkeys(numbers, False)
        open_numbers = list(numbers)
        while open_numbers:
            asked = [(number, _parts(suspects[number].value, here[number])) for number in open_numbers]
            open_numbers = []
            for (number, _), (causes, are_real) in zip(asked, self._causes(suspects, asked), strict=True):
                # A leaf that is only mentioned is no place; a collection may yet hold what is missing.
                is_place = are_real or (not surely[number] and _is_collection(suspects[number].value, causes))
                if len(causes) == 1 and is_place:
                    here[number] = causes[0]
                    surely[number] = are_real
                    open_numbers.append(number)
        for number, path in here.items():
            if path and surely[number]:
                paths[number] = path
                known = self._usual.setdefault(suspects[number].key, [])
                if path not in known and len(known) < MOST_USUAL:
                    known.append(path)
        return {number: path for number, path in here.items() if path and number not in paths}

    def _causes(self, suspects: Sequence[Suspect], asked: Asked) -> list[tuple[list[FieldPath], bool]]:
        """For each suspect: the parts without which it is gone, and whether they are causes or but mentions."""
        without = self._ask(suspects, [(number, path, _without) for number, paths in asked for path in paths])
        places = [(place, path) for place, (_, paths) in enumerate(asked) for path in paths]
        surely = {pair for pair, outcome in zip(places, without, strict=True) if outcome.is_gone}
        # Where a rule fails without a part (as CEL does), only a change of the part can tell.
        gone = [pair for pair, outcome in zip(places, without, strict=True) if outcome.is_gone or outcome.has_failed]
        changes = [(asked[place][0], path, _changed(other)) for place, path in gone for other in OTHERS]
        fewer = [outcome.is_fewer for outcome in self._ask(suspects, changes)]
        real = [pair for at, pair in enumerate(gone) if any(fewer[at * len(OTHERS) : (at + 1) * len(OTHERS)])]
        found = []
        for place in range(len(asked)):
            causes = [path for owner, path in real if owner == place]
            found.append(
                (causes or [path for owner, path in gone if (owner, path) in surely and owner == place], bool(causes))
            )
        return found

    def _missing(self, suspects: Sequence[Suspect], numbers: Sequence[int]) -> dict[int, FieldPath]:
        """What a rule reads and is not there, if the finding is gone once it is there."""
        wanted = [
            (number, path, _with(value))
            for number in numbers
            for path in islice(self._absent(suspects[number]), MOST_MISSING)
            for value in PRESENT
        ]
        found: dict[int, FieldPath] = {}
        for (number, path, _), outcome in zip(wanted, self._ask(suspects, wanted), strict=True):
            if outcome.is_gone and outcome.is_fewer and len(path) > len(found.get(number, ())):
                found[number] = path
        return found

    def _ask(
        self, suspects: Sequence[Suspect], changes: Sequence[tuple[int, FieldPath, Callable[[Any, FieldPath], Any]]]
    ) -> list[Outcome]:
        """What comes of each change of a suspect's resource."""
        inputs = [
            (orjson.dumps(change(suspects[number].value, path)), (suspects[number].query,))
            for number, path, change in changes
        ]
        said: dict[int, list[str] | None] = {
            answer.input: None if answer.error else messages(answer.value)
            for answer in (self._engine.evaluate(inputs) if inputs else ())
        }
        outcomes = []
        for place, (number, _, _) in enumerate(changes):
            words = said.get(place, [])
            suspect = suspects[number]
            # A change that the rule fails on tells nothing.
            told = words if words is not None else [suspect.message] * suspect.total
            outcomes.append(Outcome(suspect.message not in told, len(told) < suspect.total, words is None))
        return outcomes

    def _absent(self, suspect: Suspect) -> Iterator[FieldPath]:
        """Paths that the rule's module reads, and that are not there as a whole."""
        module = self._modules.get(suspect.query)
        for reference in dict.fromkeys(REFERENCE.findall(module.text)) if module else ():
            steps = _steps(reference)
            if steps and not _exists(suspect.value, steps) and _exists(suspect.value, steps[:1]):
                yield steps

    def _read(self, suspect: Suspect) -> FieldPath | None:
        """The longest part that is there of any path that the rule's module reads."""
        module = self._modules.get(suspect.query)
        best: FieldPath | None = None
        for reference in REFERENCE.findall(module.text) if module else ():
            steps = _steps(reference)
            while steps and not _exists(suspect.value, steps):
                steps = steps[:-1]
            if steps and steps not in IDENTITY and (best is None or len(steps) > len(best)):
                best = steps
        return best


def messages(value: Any) -> list[str]:
    """The texts in a rule's answer: strings, or objects with `msg`."""
    items = value if isinstance(value, list) else [value]
    return [item.get("msg", "") if isinstance(item, dict) else str(item) for item in items]


def _is_collection(value: Any, causes: Sequence[FieldPath]) -> bool:
    return bool(causes) and isinstance(at(value, causes[0]), dict | list)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _parts(value: Any, path: FieldPath) -> list[FieldPath]:
    """The parts one level below a path, less what only identifies the resource."""
    value = at(value, path)
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return list(islice(((*path, step) for step in steps if (*path, step) not in IDENTITY), MOST_CHILDREN))


def _exists(value: Any, path: FieldPath) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _parent_of_copy(value: Any, path: FieldPath) -> tuple[Any, Any]:
    """A copy of a value, and within it what holds the last step of a path; all else is shared."""
    out = copy.copy(value)
    inner = out
    for step in path[:-1]:
        inner[step] = copy.copy(inner[step])
        inner = inner[step]
    return out, inner


def _without(value: Any, path: FieldPath) -> Any:
    out, inner = _parent_of_copy(value, path)
    held = inner.pop(path[-1])
    if path == ("metadata",) and isinstance(held, dict):
        inner["metadata"] = {key: held[key] for key in ("name", "namespace") if key in held}
    return out


def _changed(other: Callable[[Any], Any]) -> Callable[[Any, FieldPath], Any]:
    def leaves(value: Any, path: FieldPath) -> Any:
        if isinstance(value, dict):
            return {key: leaves(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [leaves(item, (*path, index)) for index, item in enumerate(value)]
        return value if path in IDENTITY else other(value)

    def change(value: Any, path: FieldPath) -> Any:
        out, inner = _parent_of_copy(value, path)
        inner[path[-1]] = leaves(inner[path[-1]], path)
        return out

    return change


def _with(added: Any) -> Callable[[Any, FieldPath], Any]:
    def change(value: Any, path: FieldPath) -> Any:
        [first, *rest] = path
        if isinstance(first, int) or not isinstance(value, dict):
            return value
        inner = change(value.get(first, {}), tuple(rest)) if rest else added
        return {**value, first: inner}

    return change


def _steps(reference: str) -> FieldPath:
    """A reference such as `.spec.containers[_].image` as a path, the first item for a variable."""
    path: FieldPath = ()
    for name, quoted, index in STEP.findall(reference):
        step: str | int = name or quoted
        path = (*path, step if step and not index else int(index) if index.isdigit() else 0)
    return path
