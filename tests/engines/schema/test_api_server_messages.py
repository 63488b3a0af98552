"""The words of the API server's faults, and the places that they name."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.schema.api_server_messages import describe_fault, find_entry, is_irrelevant, resolve_path
from gatekeeper.model import FieldPath
from gatekeeper.upstream.validation import ApiServerFault

OBJECT = {
    "metadata": {"labels": {"a.b/c": "x", "plain": "y"}, "annotations": {"1": "x"}},
    "data": {"app.conf": "x", "app": {"conf": "y"}, "key.yaml": "z"},
    "spec": {"ports": [{"port": 1}, {"port": 2}], "limits": {"0": "a"}, "a.b.c": {"d": 1}},
}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("spec.ports[1].port", ("spec", "ports", 1, "port")),
        ("spec.ports[7].port", ("spec", "ports", 7, "port")),
        ("metadata.labels[a.b/c]", ("metadata", "labels", "a.b/c")),
        ("metadata.annotations[1]", ("metadata", "annotations", "1")),
        ("spec.limits[0]", ("spec", "limits", "0")),
        ("data[app.conf]", ("data", "app.conf")),
        ("data.key.yaml", ("data", "key.yaml")),
        ("data.app.conf", ("data", "app", "conf")),
        ("spec.a.b.c.d", ("spec", "a.b.c", "d")),
        ("spec.missing.field", ("spec", "missing", "field")),
        ("spec.ports[0].x[y.z]", ("spec", "ports", 0, "x", "y.z")),
    ],
)
def test_the_path_is_found_in_the_object(text: str, path: FieldPath) -> None:
    assert resolve_path(text, OBJECT) == path


def test_the_schema_of_a_definition_is_in_its_version() -> None:
    crd: dict[str, Any] = {"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"spec": {}}}}}]}}
    path = resolve_path("spec.validation.openAPIV3Schema.properties[spec].type", crd)
    assert path == ("spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "type")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (ApiServerFault("spec.a", "FieldValueRequired"), "required field `spec.a` is missing"),
        (ApiServerFault("spec.a", "FieldValueRequired", "or b"), "`spec.a` is required: or b"),
        (ApiServerFault("spec.a", "FieldValueTypeInvalid", "must be a text"), "`spec.a` must be a text"),
        (ApiServerFault("spec.a", "FieldValueDuplicate"), "`spec.a` repeats a value that must be unique"),
        (ApiServerFault("spec.a", "UnknownField"), "unknown field `spec.a`"),
        (ApiServerFault("", "Refused", "no"), "the resource is refused: no"),
        (ApiServerFault("spec.a", "FieldValueOfTomorrow", "no"), "`spec.a` is refused: no"),
        (
            ApiServerFault(
                "spec.a", "FieldValueInvalid", "a name (e.g. 'x', regex used for validation is '[a-z]+(x)')"
            ),
            "`spec.a` is invalid: a name (e.g. 'x')",
        ),
    ],
)
def test_a_fault_has_a_message(fault: ApiServerFault, message: str) -> None:
    assert describe_fault(fault, resolve_path(fault.field, {}))[0] == message


@pytest.mark.parametrize(
    ("entry", "mapping", "path"),
    [
        ("key", {"key": "v"}, ("key",)),
        ("v", {"key": "v"}, ("key",)),
        ("other", {"key": "v"}, ()),
        ("", {"": "v"}, ()),
        ("x", ["x"], ()),
    ],
)
def test_the_label_at_fault_is_found(entry: str, mapping: Any, path: FieldPath) -> None:
    assert find_entry(ApiServerFault("metadata.labels", "FieldValueInvalid", "", entry), mapping) == path


def test_a_consequence_is_no_fault_of_its_own() -> None:
    text = "some validation rules were not checked because the object was invalid; correct the existing errors"
    assert is_irrelevant(ApiServerFault("", "FieldValueInvalid", text))
    assert not is_irrelevant(ApiServerFault("", "FieldValueInvalid", "other"))


def test_a_finalizer_that_argo_cd_prescribes_is_no_warning() -> None:
    text = '"{}": prefer a domain-qualified finalizer name'
    field = "metadata.finalizers"
    assert is_irrelevant(ApiServerFault(field, "Warning", text.format("resources-finalizer.argocd.argoproj.io")))
    assert not is_irrelevant(ApiServerFault(field, "Warning", text.format("finalizer.example.com")))
