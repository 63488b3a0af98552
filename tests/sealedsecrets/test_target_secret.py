"""The decision what to do with the Secret of a SealedSecret."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets.target_secret import (
    MANAGED_ANNOTATION,
    PATCH_ANNOTATION,
    SKIP_OWNER_ANNOTATION,
    decide_change,
)

SEALED = {
    "apiVersion": "bitnami.com/v1alpha1",
    "kind": "SealedSecret",
    "metadata": {"name": "db", "namespace": "prod", "uid": "1"},
}
OWNER = {
    "apiVersion": "bitnami.com/v1alpha1",
    "kind": "SealedSecret",
    "name": "db",
    "uid": "1",
    "controller": True,
}


def unsealed(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"a": "eA=="}}


def existing(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "db", "namespace": "prod", "uid": "9", "resourceVersion": "3", **fields.pop("metadata", {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "data": {"a": "eA=="},
        **fields,
        "metadata": metadata,
    }


def test_missing_secret_is_created_under_the_name_of_the_sealed_secret_with_its_owner() -> None:
    change = decide_change(SEALED, unsealed(name="other", namespace="elsewhere", labels={"a": "b"}), None)
    assert change.action == "create"
    assert change.secret["metadata"] == {
        "name": "db",
        "namespace": "prod",
        "labels": {"a": "b"},
        "ownerReferences": [OWNER],
    }


def test_equal_secret_is_left_and_drift_is_corrected() -> None:
    own = {"ownerReferences": [OWNER]}
    assert decide_change(SEALED, unsealed(), existing(metadata=own)).action == "unchanged"
    change = decide_change(SEALED, unsealed(), existing(metadata=own, data={"a": "eQ==", "b": ""}))
    assert (change.action, change.secret["data"]) == ("change", {"a": "eA=="})
    assert change.secret["metadata"]["resourceVersion"] == "3"
    assert decide_change(SEALED, unsealed(labels={"a": "b"}), existing(metadata=own)).action == "change"


@pytest.mark.parametrize("fields", [{"type": "other"}, {"immutable": True, "data": {}}])
def test_secret_that_cannot_be_changed_is_recreated_without_server_fields(fields: dict[str, Any]) -> None:
    change = decide_change(SEALED, unsealed(), existing(metadata={"ownerReferences": [OWNER]}, **fields))
    assert change.action == "recreate" and not {"uid", "resourceVersion"} & change.secret["metadata"].keys()


def test_secret_of_another_owner_is_refused_unless_it_is_marked_as_managed() -> None:
    with pytest.raises(SecretFileError, match=f"annotate it with {MANAGED_ANNOTATION}=true"):
        decide_change(SEALED, unsealed(), existing())
    change = decide_change(SEALED, unsealed(), existing(metadata={"annotations": {MANAGED_ANNOTATION: "true"}}))
    assert change.action == "change" and change.secret["metadata"]["ownerReferences"] == [OWNER]


def test_secret_without_an_owner_is_kept_without_one_if_both_sides_say_so() -> None:
    skip = {"annotations": {SKIP_OWNER_ANNOTATION: "true"}}
    assert decide_change(SEALED, unsealed(**skip), existing(metadata=skip)).action == "unchanged"
    with pytest.raises(SecretFileError):
        decide_change(SEALED, unsealed(**skip), existing())


def test_patched_secret_keeps_its_owner_its_type_and_its_other_values() -> None:
    other = {"uid": "5", "kind": "Deployment"}
    target = existing(
        metadata={"annotations": {PATCH_ANNOTATION: "true"}, "ownerReferences": [other]}, type="t", data={"b": "Yg=="}
    )
    change = decide_change(SEALED, unsealed(labels={"x": "y"}), target)
    assert change.action == "change" and change.secret["type"] == "t"
    assert change.secret["data"] == {"a": "eA==", "b": "Yg=="}
    assert change.secret["metadata"]["ownerReferences"] == [other]
    assert change.secret["metadata"]["labels"] == {"x": "y"}
