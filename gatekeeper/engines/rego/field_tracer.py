"""Traces the field of findings whose Rego rule names none, by evaluating the rule on changed resources.

A rule is evaluated again without one part of the resource. If the finding disappears, the part is its cause, or the
part only occurs in the message of the finding. To tell these apart the leaves of the part are changed: a cause can be
changed so that the finding disappears, a mentioned value only changes the message. Parts are tried from the top down.
If no existing part is the cause, a field is missing: then paths that the rule reads and that do not exist are added.

Where the text of a rule shows what it reads, only that is searched, and each distinct content of it once: most
resources of a repository differ only elsewhere. The fields of earlier findings are tried first: where the text shows
what the rule reads, those of findings of the same shape that no deeper search could make more precise.

An example. The rule is

    deny contains msg if {
        some c in input.spec.containers
        endswith(c.image, ":latest")
        msg := sprintf("%s has no version", [c.name])
    }

and the resource has the containers {name: web, image: "web:latest"} and {name: log, image: "log:1"}. The message
`web has no version` is traced like this:

1. Without `spec` the message is gone; without `metadata` it stays. With changed leaves of `spec` there are fewer
   messages, because no image ends in `:latest` any more. So `spec` is a confirmed cause: go on below it.
2. The same holds for `spec.containers`, and then for `spec.containers[0]`; without `spec.containers[1]` it stays.
3. Without `spec.containers[0].image` the message is gone, and with another image there are fewer messages: confirmed.
   Without `spec.containers[0].name` the message is gone, too; but with another name the message only reads `gkwebgk
   has no version`, so there are not fewer messages: the name is mentioned, and not a cause.
4. `spec.containers[0].image` has no parts, so it is the field of the finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from gatekeeper.engines.rego.field_changes import (
    IDENTITY_PATHS,
    LEAF_REPLACEMENTS,
    PROBE_VALUES,
    build_addition,
    build_leaf_change,
    has_path,
    list_parts,
    list_read_paths,
    remove_path,
)
from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.engines.rego.suspects import Key, Suspect, SuspectGroups, derive_keys, extract_messages, split_batches
from gatekeeper.model import FieldPath, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import RegoEngine

MAX_USUAL_PATHS = 8
MAX_MISSING_PATHS = 20
# In place of the number of an input: the change leaves the resource as it is.
UNCHANGED = -1


class Probe(NamedTuple):
    """One change to try: the number of the suspect, the path to change, and the change."""

    suspect_index: int
    path: FieldPath
    change: Callable[[Any, FieldPath], Any]


class ProbeResult(NamedTuple):
    """The result of a probe: the message is gone, there are fewer messages, the rule failed."""

    is_gone: bool
    has_fewer_messages: bool
    has_failed: bool

    @property
    def has_ended(self) -> bool:
        """Whether the change ends the finding: its message is gone, and no other one is in its place."""
        return self.is_gone and self.has_fewer_messages


class Causes(NamedTuple):
    """Parts of a resource without which a finding is gone; confirmed if a change of them reduces the messages, too."""

    paths: list[FieldPath]
    are_confirmed: bool


# A missing field, and the change that adds it.
Addition = tuple[FieldPath, Callable[[Any, FieldPath], Any]]
# Candidate paths, each list with the number of the suspect that it is for.
Candidates = Sequence[tuple[int, Sequence[FieldPath]]]


class FieldTracer:
    """Traces findings of one engine, many at a time: all probes that are possible now go into one request.

    Args:
        modules: the module of each query, for the paths that it reads.
        packages: all modules, as those of one package use each other's rules.
    """

    def __init__(self, engine: RegoEngine, modules: dict[str, RegoModule], packages: Sequence[RegoModule] = ()) -> None:
        self._engine = engine
        self._modules = modules
        self._groups = SuspectGroups(engine, modules, packages)
        # The fields of earlier findings with the same key: the next ones are probed there first.
        self._usual_paths: dict[Key, list[FieldPath]] = {}
        self._usual_additions: dict[Key, Addition] = {}

    def trace(self, suspects: Sequence[Suspect]) -> list[FieldPath | None]:
        """Returns the field of each finding; None if neither evaluation nor the text of the rule shows one."""
        groups = self._groups.build(suspects)
        distinct = [suspect for suspect, _ in groups]
        keys = derive_keys(distinct)
        paths: dict[int, FieldPath | None] = {}
        for batch in split_batches(distinct, keys):
            found = self._trace_batch([distinct[number] for number in batch], [keys[number] for number in batch])
            paths.update(zip(batch, found, strict=True))
        path_by_number = {number: paths[group] for group, (_, numbers) in enumerate(groups) for number in numbers}
        return [path_by_number[number] for number in range(len(suspects))]

    def _trace_batch(self, suspects: Sequence[Suspect], keys: Sequence[Key]) -> list[FieldPath | None]:
        confirmed = self._try_usual_paths(suspects, keys)
        missing = self._try_usual_additions(suspects, keys, confirmed)
        known = {**confirmed, **missing}
        remaining = [number for number in range(len(suspects)) if number not in known]
        mentioned = self._descend(suspects, remaining, confirmed)
        for number in (number for number in remaining if number in confirmed):
            is_leaf = not isinstance(get_field(suspects[number].value, confirmed[number]), dict | list)
            # Below a collection the next finding can have a cause of its own.
            if is_leaf or suspects[number].reads is None:
                self._remember_path(keys[number], confirmed[number])
        unknown = [number for number in remaining if number not in confirmed]
        for number, (path, change) in self._find_missing_fields(suspects, unknown).items():
            missing[number] = path
            self._usual_additions.setdefault(keys[number], (path, change))
        return [
            confirmed.get(number)
            or missing.get(number)
            or mentioned.get(number)
            or self._find_longest_read_path(suspect)
            for number, suspect in enumerate(suspects)
        ]

    def _try_usual_paths(self, suspects: Sequence[Suspect], keys: Sequence[Key]) -> dict[int, FieldPath]:
        """The confirmed causes among the fields of earlier findings with the same key."""
        usual = [
            (number, [path for path in self._usual_paths.get(keys[number], ()) if has_path(suspect.value, path)])
            for number, suspect in enumerate(suspects)
        ]
        return {
            number: max(causes.paths, key=len)
            for (number, _), causes in zip(usual, self._find_causes(suspects, usual), strict=True)
            if causes.paths and causes.are_confirmed
        }

    def _try_usual_additions(
        self, suspects: Sequence[Suspect], keys: Sequence[Key], confirmed: Mapping[int, FieldPath]
    ) -> dict[int, FieldPath]:
        """The missing fields that an earlier finding of the same shape had, where adding them has the same effect."""
        probes = [
            Probe(number, *addition)
            for number, suspect in enumerate(suspects)
            if suspect.reads is not None and number not in confirmed
            for addition in [self._usual_additions.get(keys[number])]
            if addition is not None
        ]
        results = zip(probes, self._probe(suspects, probes), strict=True)
        return {probe.suspect_index: probe.path for probe, result in results if result.has_ended}

    def _descend(
        self, suspects: Sequence[Suspect], indexes: Sequence[int], confirmed: dict[int, FieldPath]
    ) -> dict[int, FieldPath]:
        """Goes from the top of each resource down to its smallest part that is a cause.

        Confirmed causes are added to `confirmed`; returns the collections that are only mentioned.
        """
        current: dict[int, FieldPath] = dict.fromkeys(indexes, ())
        is_confirmed = dict.fromkeys(indexes, False)
        active = list(indexes)
        while active:
            candidates = [(number, list_parts(suspects[number].value, current[number])) for number in active]
            active = []
            for (number, _), causes in zip(candidates, self._find_causes(suspects, candidates), strict=True):
                # A mentioned leaf is not the field, but something may be missing in a mentioned collection.
                is_collection = bool(causes.paths) and isinstance(
                    get_field(suspects[number].value, causes.paths[0]), dict | list
                )
                may_descend = causes.are_confirmed or (not is_confirmed[number] and is_collection)
                if len(causes.paths) == 1 and may_descend:
                    current[number] = causes.paths[0]
                    is_confirmed[number] = causes.are_confirmed
                    active.append(number)
        confirmed.update({number: path for number, path in current.items() if path and is_confirmed[number]})
        return {number: path for number, path in current.items() if path and number not in confirmed}

    def _remember_path(self, key: Key, path: FieldPath) -> None:
        paths = self._usual_paths.setdefault(key, [])
        if path not in paths and len(paths) < MAX_USUAL_PATHS:
            paths.append(path)

    def _find_causes(self, suspects: Sequence[Suspect], candidates: Candidates) -> list[Causes]:
        """Finds, for each entry of the candidates, the paths without which its finding is gone.

        See the example at the top: `image` is confirmed, `name` is only mentioned.
        """
        removals = [Probe(number, path, remove_path) for number, paths in candidates for path in paths]
        # The entry of the candidates that each removal belongs to.
        entries = [entry for entry, (_, paths) in enumerate(candidates) for _ in paths]
        without = self._probe(suspects, removals)
        # If a rule fails without a part, as CEL does, only changed leaves show whether the part is a cause.
        suspicious = [index for index, result in enumerate(without) if result.is_gone or result.has_failed]
        has_fewer: set[int] = set()
        for replacement in LEAF_REPLACEMENTS:
            open_indexes = [index for index in suspicious if index not in has_fewer]
            changes = [removals[index]._replace(change=build_leaf_change(replacement)) for index in open_indexes]
            for index, result in zip(open_indexes, self._probe(suspects, changes), strict=True):
                if result.has_fewer_messages:
                    has_fewer.add(index)
        confirmed: list[list[FieldPath]] = [[] for _ in candidates]
        mentioned: list[list[FieldPath]] = [[] for _ in candidates]
        for index in suspicious:
            path, entry = removals[index].path, entries[index]
            if index in has_fewer:
                confirmed[entry].append(path)
            elif without[index].is_gone:
                mentioned[entry].append(path)
        return [
            Causes(confirmed[entry] or mentioned[entry], bool(confirmed[entry])) for entry in range(len(candidates))
        ]

    def _find_missing_fields(self, suspects: Sequence[Suspect], indexes: Sequence[int]) -> dict[int, Addition]:
        """Finds the missing field that a rule reads and that makes the finding disappear once it is added."""
        additions = [
            Probe(number, path, build_addition(value))
            for number in indexes
            for path in islice(self._list_absent_paths(suspects[number]), MAX_MISSING_PATHS)
            for value in PROBE_VALUES
        ]
        missing: dict[int, Addition] = {}
        for probe, result in zip(additions, self._probe(suspects, additions), strict=True):
            known = missing.get(probe.suspect_index)
            if result.has_ended and (known is None or len(probe.path) > len(known[0])):
                missing[probe.suspect_index] = probe.path, probe.change
        return missing

    def _probe(self, suspects: Sequence[Suspect], probes: Sequence[Probe]) -> list[ProbeResult]:
        """Evaluates the rule of each suspect on its changed resource, all in one request."""
        # Different changes often lead to the same input: each is evaluated once.
        numbers_by_input: dict[tuple[bytes, tuple[str]], int] = {}
        input_numbers = []
        for probe in probes:
            suspect = suspects[probe.suspect_index]
            changed = probe.change(suspect.value, probe.path)
            # A change of texts leaves a number as it is, and so the messages.
            if changed == suspect.value and probe.change is not remove_path:
                input_numbers.append(UNCHANGED)
                continue
            json = orjson.dumps(changed)
            input_numbers.append(numbers_by_input.setdefault((json, (suspect.query,)), len(numbers_by_input)))
        inputs = list(numbers_by_input)
        messages_by_input: dict[int, list[str] | None] = {
            answer.input_index: None if answer.error else extract_messages(answer.value)
            for answer in (self._engine.evaluate(inputs) if inputs else ())
        }
        results = []
        for number, probe in zip(input_numbers, probes, strict=True):
            if number == UNCHANGED:
                results.append(ProbeResult(is_gone=False, has_fewer_messages=False, has_failed=False))
                continue
            suspect = suspects[probe.suspect_index]
            # Without an answer the rule is undefined: no messages. A failed rule counts as unchanged.
            messages = messages_by_input.get(number, [])
            if messages is None:
                results.append(ProbeResult(is_gone=False, has_fewer_messages=False, has_failed=True))
            else:
                is_gone, has_fewer = suspect.message not in messages, len(messages) < suspect.message_count
                results.append(ProbeResult(is_gone=is_gone, has_fewer_messages=has_fewer, has_failed=False))
        return results

    def _list_absent_paths(self, suspect: Suspect) -> Iterator[FieldPath]:
        """Lists paths that the module of the rule reads and that do not exist, though their first step does."""
        module = self._modules.get(suspect.query)
        for path in list_read_paths(module.text) if module else ():
            if not has_path(suspect.value, path) and has_path(suspect.value, path[:1]):
                yield path

    def _find_longest_read_path(self, suspect: Suspect) -> FieldPath | None:
        """Finds the longest existing part of any path that the module of the rule reads."""
        module = self._modules.get(suspect.query)
        longest: FieldPath | None = None
        for path in list_read_paths(module.text) if module else ():
            while path and not has_path(suspect.value, path):
                path = path[:-1]
            if path and path not in IDENTITY_PATHS and (longest is None or len(path) > len(longest)):
                longest = path
        return longest
