"""CRDs as JSON Schemas that are as strict as the API server."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from gatekeeper.engines.schema import crds


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    built = crds.build_strict_schema({"type": "object", "properties": {"spec": schema}}, {"type": "object"})
    document = {"apiVersion": "a/v1", "kind": "K", "metadata": {}, "spec": value}
    return bool(jsonschema_rs.validator_for(built).is_valid(document))


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **{name.replace("__", "-"): value for name, value in fields.items()}}


OPEN = {"x-kubernetes-preserve-unknown-fields": True}
NAMED = typed("object", properties={"a": typed("string")})


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (NAMED, {"a": "x"}, True),
        (NAMED, {"a": None}, True),
        (NAMED, {"b": "x"}, False),
        ({**NAMED, **OPEN}, {"b": "x"}, True),
        (typed("object", additionalProperties=typed("integer")), {"any": 1}, True),
        (typed("object", additionalProperties=typed("integer")), {"any": "x"}, False),
        ({"x-kubernetes-int-or-string": True, "anyOf": [typed("integer"), typed("string")]}, "80", True),
        ({"x-kubernetes-int-or-string": True}, 1.5, False),
        (typed("string", enum=["a"]), None, False),
        (typed("string", enum=["a"], nullable=True), None, True),
        (typed("integer", minimum=1, exclusiveMinimum=True), 1, False),
        (typed("integer", minimum=1, exclusiveMinimum=False), 1, True),
        (typed("array", items=NAMED), [{"b": 1}], False),
        ({**NAMED, "x-kubernetes-embedded-resource": True}, {"kind": "A", "apiVersion": "v1", "metadata": {}}, True),
        ({**NAMED, "anyOf": [{"required": ["a"]}, {"properties": {"a": {"enum": ["y"]}}}]}, {"a": "x"}, True),
        ({**NAMED, "not": {"properties": {"a": {"enum": ["x"]}}}}, {"a": "x"}, False),
    ],
)
def test_a_value_is_checked_as_the_api_server_checks_it(schema: dict[str, Any], value: Any, expected: bool) -> None:
    assert is_valid(schema, value) is expected


def test_each_version_of_a_crd_has_its_own_schema_or_the_shared_one() -> None:
    own, shared = typed("object", title="own"), typed("object", title="shared")
    spec = {
        "group": "example.com",
        "names": {"kind": "Shop"},
        "scope": "Cluster",
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": own}}, {"name": "v2"}, {"name": 3}, "text"],
        "validation": {"openAPIV3Schema": shared},
    }
    found = [(kind.api_version, kind.namespaced, kind.schema) for kind in crds.parse_crd({"spec": spec})]
    assert found == [("example.com/v1", False, own), ("example.com/v2", False, shared)]


def test_an_old_crd_has_one_version() -> None:
    spec = {"group": "example.com", "names": {"kind": "Shop"}, "version": "v1beta1"}
    assert [(kind.version, kind.namespaced, kind.schema) for kind in crds.parse_crd({"spec": spec})] == [
        ("v1beta1", True, None)
    ]


@pytest.mark.parametrize("crd", [None, [], {}, {"spec": []}, {"spec": {"names": {}}}, {"spec": {"names": {"kind": 1}}}])
def test_a_malformed_crd_defines_nothing(crd: Any) -> None:
    assert list(crds.parse_crd(crd)) == []
