"""Evaluation of policies in CEL by the API server's own validator, without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_answer, decode_list
from gatekeeper.upstream.batches import Call, call_in_halves, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError

MAX_BATCH_ROWS = 250
# For one batch: a start of the program, and time for each evaluation. The validator bounds an evaluation by its cost.
BATCH_SECONDS, USE_SECONDS = 20.0, 0.1


class CelSource(NamedTuple):
    """A policy in CEL.

    Attributes:
        spec: the `spec` of a ValidatingAdmissionPolicy, as JSON.
        is_in_api: whether the API server evaluates it: then it may use only the CEL libraries of its version.
    """

    name: str
    spec: bytes
    is_in_api: bool


class CelUse(NamedTuple):
    """One evaluation of a policy, by positions in the batch.

    Attributes:
        parameters: -1 without parameters.
        version: that of the API version in which the policy sees the object; -1 for the object's own.
    """

    policy: int
    parameters: int = -1
    version: int = -1


class CelParameters(NamedTuple):
    """Parameters (JSON), and the API version in which policies read them; empty for their own."""

    json: bytes
    api_version: str = ""


class CelRow(NamedTuple):
    """A request (JSON of an AdmissionRequest) with the position of its Namespace (-1 without one), and its policies."""

    request: bytes
    namespace: int
    uses: Sequence[CelUse]


class CelRefusal(NamedTuple):
    """Why a policy refuses a request.

    Attributes:
        is_error: whether one of its expressions cannot be evaluated.
        is_denial: whether the request is denied whatever the actions of the binding are.
    """

    message: str
    is_error: bool
    is_denial: bool = False


class CelBatch(NamedTuple):
    """Requests, with what they have in common (JSON).

    Attributes:
        is_admitted: whether the API server sets defaults in the objects before it evaluates policies.
        versions: the API versions in which policies see objects.
        definitions: those of custom kinds, as for `gatekeeper.upstream.validation.KindBatch`.
    """

    policies: Sequence[CelSource]
    parameters: Sequence[CelParameters]
    namespaces: Sequence[bytes]
    is_admitted: bool
    rows: Sequence[CelRow]
    versions: Sequence[str] = ()
    definitions: Sequence[bytes] = ()


class CelResult(NamedTuple):
    """The refusals of each use of a policy on one request; or why the request was not evaluated."""

    refusals: Sequence[Sequence[CelRefusal]]
    error: str = ""


def compile_sources(client: UpstreamClient, sources: Sequence[CelSource]) -> list[str]:
    """The error of each policy; empty for one that compiles.

    Raises:
        ToolError: the program cannot be used.
    """
    errors = client.call("compilePolicies", {"policies": [_encode_source(one) for one in sources]}, BATCH_SECONDS)
    return decode_list(str, errors, len(sources))


def evaluate_batch(client: UpstreamClient, batch: CelBatch) -> list[CelResult]:
    """The result of each request, in their order.

    Raises:
        ToolError: the program is missing, cannot be started or has another version.
    """
    if not batch.rows:
        return []
    client.get_worker()
    parts = list(split_batch(batch.rows, lambda row: len(row.request), MAX_BATCH_ROWS))
    found = map_parts(lambda rows: _evaluate_part(client, batch._replace(rows=rows)), parts)
    return [result for results in found for result in results]


def _evaluate_part(client: UpstreamClient, part: CelBatch) -> list[CelResult]:
    """The results of a part that is small enough for one call."""

    def evaluate(rows: Sequence[CelRow], call: Call) -> list[CelResult]:
        count = sum(len(row.uses) for row in rows)
        payload = _encode_batch(part._replace(rows=rows))
        found = call("evaluatePolicies", payload, BATCH_SECONDS + USE_SECONDS * count)
        return decode_answer(lambda entries: _decode_results(entries, rows), found)

    def fail(row: CelRow, error: WorkerLostError) -> CelResult:
        return CelResult([[] for _ in row.uses], str(error))

    return call_in_halves(client, part.rows, evaluate, fail)


def _encode_source(source: CelSource) -> dict[str, Any]:
    return {"name": source.name, "spec": orjson.Fragment(source.spec), "isInAPI": source.is_in_api}


def _encode_batch(batch: CelBatch) -> dict[str, Any]:
    return {
        "policies": [_encode_source(source) for source in batch.policies],
        "parameters": [
            {"apiVersion": one.api_version, "object": orjson.Fragment(one.json)} for one in batch.parameters
        ],
        "namespaces": [orjson.Fragment(json) for json in batch.namespaces],
        "versions": list(batch.versions),
        "definitions": [orjson.Fragment(json) for json in batch.definitions],
        "isAdmitted": batch.is_admitted,
        "rows": [
            {
                "request": orjson.Fragment(row.request),
                "namespace": row.namespace,
                "uses": [list(use) for use in row.uses],
            }
            for row in batch.rows
        ],
    }


def _decode_results(entries: list[dict[str, Any]], rows: Sequence[CelRow]) -> list[CelResult]:
    return [_decode_result(entry, row) for entry, row in zip(entries, rows, strict=True)]


def _decode_result(entry: dict[str, Any], row: CelRow) -> CelResult:
    """The result of one request.

    Raises:
        ValueError: it is not one of the policies of the request.
    """
    error = str(entry.get("error", ""))
    uses = entry.get("uses") or [[] for _ in row.uses]
    refusals = [
        [CelRefusal(one["message"], one.get("isError", False), one.get("isDenial", False)) for one in use]
        for use in uses
    ]
    if len(refusals) != len(row.uses):
        raise ValueError("not one result for each policy")
    return CelResult(refusals, error)
