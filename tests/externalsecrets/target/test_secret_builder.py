"""Building the Secret of an ExternalSecret."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from gatekeeper.externalsecrets.external_secret_spec import parse_external_secret
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.target import ownership, secret_builder
from gatekeeper.externalsecrets.target.ownership import CREATED_BY_LABEL, DATA_HASH_ANNOTATION, MANAGED_LABEL
from gatekeeper.secret_value import SecretBytes
from tests.externalsecrets.test_decision import es


def parse(target: str = "{}") -> ExternalSecretSpec:
    return parse_external_secret(yaml.safe_load(es(target=target)))


def no_template(kind: str, name: str, key: str) -> str:
    raise AssertionError(f"{kind} {name} {key} must not be read")


def build(spec: ExternalSecretSpec, existing: dict[str, Any] | None = None) -> dict[str, Any]:
    return secret_builder.build_secret(spec, {"a": SecretBytes(b"x")}, existing, no_template)


def managed(spec: ExternalSecretSpec, **fields: list[str]) -> list[dict[str, Any]]:
    names: dict[str, Any] = {name: {f"f:{key}": {} for key in keys} for name, keys in fields.items()}
    data = {"f:data": names.get("data", {})}
    metadata = {"f:metadata": {"f:labels": names.get("labels", {}), "f:annotations": names.get("annotations", {})}}
    return [{"manager": ownership.build_field_manager(spec), "fieldsV1": {**data, **metadata}}]


def test_new_secret_has_the_labels_of_the_spec_and_the_marks_of_its_owner() -> None:
    spec = parse()
    secret = build(spec)
    assert (secret["kind"], secret["type"], secret["data"]) == ("Secret", "Opaque", {"a": "eA=="})
    assert secret["metadata"]["labels"] == {
        "app": "shop",
        CREATED_BY_LABEL: ownership.compute_creator_mark(spec),
        MANAGED_LABEL: "true",
    }
    assert DATA_HASH_ANNOTATION in secret["metadata"]["annotations"]
    stripped = secret_builder.strip_marks(secret)["metadata"]
    assert (stripped["labels"], stripped["annotations"]) == ({"app": "shop"}, {})
    assert CREATED_BY_LABEL not in build(parse("{creationPolicy: Orphan}"))["metadata"]["labels"]


def test_fields_of_other_managers_stay_and_own_former_fields_are_removed() -> None:
    spec = parse("{creationPolicy: Merge}")
    existing = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "t",
        "data": {"own": "eQ==", "foreign": "eg=="},
        "metadata": {
            "name": "db",
            "resourceVersion": "5",
            "labels": {"own": "1", "foreign": "2"},
            "managedFields": managed(spec, data=["own"], labels=["own"]),
        },
    }
    secret = build(spec, existing)
    assert secret["data"] == {"a": "eA==", "foreign": "eg=="} and secret["type"] == "t"
    assert secret["metadata"]["labels"] == {"foreign": "2", "app": "shop", MANAGED_LABEL: "true"}
    assert secret["metadata"]["resourceVersion"] == "5"
    assert build(parse(), existing)["data"] == {"a": "eA=="}


def test_template_sets_type_finalizers_and_replaces_the_labels_of_the_spec() -> None:
    template = "{type: custom, metadata: {labels: {b: c}, finalizers: [x]}}"
    secret = build(parse(f"{{immutable: true, template: {template}}}"), {"metadata": {"finalizers": ["y", "x"]}})
    assert (secret["type"], secret["immutable"], secret["metadata"]["finalizers"]) == ("custom", True, ["y", "x"])
    assert "app" not in secret["metadata"]["labels"] and secret["metadata"]["labels"]["b"] == "c"


@pytest.mark.parametrize(
    ("change", "is_equal"),
    [({}, True), ({"immutable": False}, True), ({"data": {"a": "eQ=="}}, False), ({"type": "other"}, False)],
)
def test_secret_is_up_to_date_if_the_fields_that_count_are_equal(change: dict[str, Any], is_equal: bool) -> None:
    secret = build(parse())
    existing = {**secret, **change, "metadata": {**secret["metadata"], "uid": "1", "resourceVersion": "7"}}
    assert secret_builder.is_up_to_date(secret, existing) is is_equal
    assert not secret_builder.is_up_to_date(secret, None)
    assert base64.b64decode(secret["data"]["a"]) == b"x"
