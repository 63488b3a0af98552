"""Policies in CEL in the program: batches, errors of compilation, and rows that cannot be evaluated."""

from __future__ import annotations

import orjson

from gatekeeper.upstream.cel_evaluation import (
    MAX_BATCH_ROWS,
    CelBatch,
    CelRefusal,
    CelRow,
    CelSource,
    CelUse,
    compile_sources,
    evaluate_batch,
)
from gatekeeper.upstream.client import UpstreamClient


def build_source(expression: str) -> CelSource:
    return CelSource("p", orjson.dumps({"validations": [{"expression": expression, "message": "refused"}]}), True)


def build_row(number: int, *policies: int) -> CelRow:
    request = {
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "operation": "CREATE",
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"n{number}"}},
    }
    return CelRow(orjson.dumps(request), -1, [CelUse(policy) for policy in policies])


def test_results_of_several_batches_are_in_the_order_of_the_requests(client: UpstreamClient) -> None:
    source = build_source("!object.metadata.name.endsWith('7')")
    rows = [build_row(number, 0) for number in range(2 * MAX_BATCH_ROWS + 1)]
    results = evaluate_batch(client, CelBatch([source], (), (), True, rows))
    refused = [number for number, result in enumerate(results) if result.refusals[0]]
    assert refused == [number for number in range(len(rows)) if number % 10 == 7]
    assert results[7].refusals == [[CelRefusal("refused", False)]] and not results[7].error


def test_a_request_that_cannot_be_read_fails_alone(client: UpstreamClient) -> None:
    rows = [CelRow(b'{"object":7,"kind":[]}', -1, [CelUse(0)]), build_row(1, 0)]
    bad, good = evaluate_batch(client, CelBatch([build_source("false")], (), (), True, rows))
    assert bad.error == "the request cannot be read" and good.refusals == [[CelRefusal("refused", False)]]


def test_no_requests_need_no_program(client: UpstreamClient) -> None:
    assert evaluate_batch(client, CelBatch([], (), (), True, [])) == []


def test_each_policy_has_its_error(client: UpstreamClient) -> None:
    good, bad = compile_sources(client, [build_source("true"), build_source("object.")])
    assert not good and bad.startswith("spec.validations[0].expression: compilation failed")
