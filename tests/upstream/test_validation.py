"""Objects are validated in batches; one that ends the program fails alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream import batches, validation
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from gatekeeper.upstream.validation import (
    ApiServerAnswer,
    ApiServerFault,
    KindBatch,
    list_validated_kinds,
    validate_objects,
)
from gatekeeper.upstream.worker import PROGRAM, UpstreamWorker

SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
DEFINITION = {"group": "example.com", "version": "v1", "kind": "Box", "namespaced": True, "schema": SCHEMA}
# What an API server accepts and a manifest cannot usefully have, or what has another version there.
NOT_STORED = {"Binding", "Eviction", "Scale", "TokenReview", "TokenRequest", "PodStatusResult", "RangeAllocation"}


def config_map(name: str, **fields: Any) -> bytes:
    return orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **fields})


def test_answers_are_in_the_order_of_the_objects(client: UpstreamClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_BATCH_OBJECTS", 3)
    names = [f"{'Bad' if number % 4 == 0 else 'good'}{number}" for number in range(20)]
    batch = KindBatch("v1", "ConfigMap", [config_map(name) for name in names])
    [answers] = validate_objects(client, [batch], ())
    assert [bool(answer.faults) for answer in answers] == [name.startswith("Bad") for name in names]


def test_a_fault_has_its_place(client: UpstreamClient) -> None:
    batch = KindBatch("v1", "ConfigMap", [config_map("a", data={"a b": "x", "c": 1}, dta={})])
    [[answer]] = validate_objects(client, [batch], ())
    assert answer.faults == (
        ApiServerFault("data[c]", "FieldValueTypeInvalid", "must be a text, not a number"),
        ApiServerFault("dta", "UnknownField"),
        ApiServerFault("data[a b]", "FieldValueInvalid", answer.faults[2].detail),
    )


@pytest.mark.parametrize(
    ("spec", "types"),
    [({"size": 1}, []), ({"size": "1"}, ["FieldValueTypeInvalid"]), ({"sice": 1}, ["UnknownField"])],
)
def test_custom_kinds_come_with_their_definition(client: UpstreamClient, spec: Any, types: list[str]) -> None:
    value = {"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "a"}, "spec": spec}
    batch = KindBatch("example.com/v1", "Box", [orjson.dumps(value)], orjson.dumps(DEFINITION))
    [[answer]] = validate_objects(client, [batch], ())
    assert [fault.type for fault in answer.faults if "not checked" not in fault.detail] == types


def test_a_definition_with_a_schema_that_is_not_structural(client: UpstreamClient) -> None:
    schema = {"type": "object", "properties": {"spec": {"properties": {"a": {}}}}}
    value = {"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "a"}, "spec": {}}
    batch = KindBatch("example.com/v1", "Box", [orjson.dumps(value)], orjson.dumps({**DEFINITION, "schema": schema}))
    [[answer]] = validate_objects(client, [batch], ())
    assert answer.unchecked.startswith("the schema is not structural: properties[spec]")
    assert not answer.is_failure


def test_a_kind_that_is_not_validated_says_so(client: UpstreamClient) -> None:
    batch = KindBatch("extensions/v1beta1", "Ingress", [b"{}"])
    [[answer]] = validate_objects(client, [batch], ())
    assert answer == ApiServerAnswer(
        unchecked="extensions/v1beta1/Ingress is not a built-in kind that is validated", is_failure=False
    )


def test_every_stored_kind_of_the_newest_versions_is_validated(client: UpstreamClient) -> None:
    checked, unchecked = list_validated_kinds(client)
    assert len(checked) > 80
    missing = [kind for kind in unchecked if "/v1/" in f"/{kind}" and not {kind.rpartition("/")[2]} & NOT_STORED]
    # The rest are questions to the server (reviews), which are answered and not stored, and a kind that is read only.
    assert [kind for kind in missing if not kind.endswith("Review")] == ["v1/ComponentStatus"]


def test_an_object_that_ends_the_program_fails_alone(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large for the memory of the program, alone or with others."""
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 2**30)
    monkeypatch.setattr(UpstreamWorker.__init__, "__defaults__", (120 * 2**20, PROGRAM))
    made = UpstreamClient(lambda: program, get_program_version())
    small = config_map("a")
    huge = config_map("b", data={"key": "x" * 90_000_000})
    [answers] = validate_objects(made, [KindBatch("v1", "ConfigMap", [small, small, huge, small])], ())
    made.close()
    assert [answer.is_failure for answer in answers] == [False, False, True, False]
    assert "memory" in answers[2].unchecked


def test_a_program_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    made = UpstreamClient(lambda: tmp_path / "missing", "1")
    with pytest.raises(ToolError, match="cannot be started"):
        validate_objects(made, [KindBatch("v1", "ConfigMap", [config_map("a")])], ())
