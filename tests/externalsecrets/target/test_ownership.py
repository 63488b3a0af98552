"""Which Secrets belong to which ExternalSecret."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.model import CreationPolicy, ExternalSecretSpec
from gatekeeper.externalsecrets.target import ownership
from gatekeeper.externalsecrets.target.ownership import CREATED_BY_LABEL, MANAGED_LABEL


def spec(policy: CreationPolicy = "Owner", uid: str = "1", name: str = "db") -> ExternalSecretSpec:
    empty = build_empty_spec("prod", name)
    return empty._replace(uid=uid, target=empty.target._replace(creation_policy=policy))


OWN_LABELS = {MANAGED_LABEL: "true", CREATED_BY_LABEL: ownership.compute_creator_mark(spec())}


def owner(kind: str = "ExternalSecret", name: str = "db", group: str = "external-secrets.io/v1beta1") -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "name": name, "uid": "1", "controller": True}


def secret(labels: dict[str, str] | None = None, *owners: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"labels": labels or {}, "ownerReferences": list(owners)}}


@pytest.mark.parametrize(
    ("wanted", "existing", "reason"),
    [
        (spec(), None, ""),
        (spec(), secret(OWN_LABELS, owner()), ""),
        (spec(), secret(OWN_LABELS), ""),
        (spec(), secret(), "already exists and is not managed by an ExternalSecret"),
        (spec("Orphan"), secret(), "already exists and is not managed"),
        (spec("None"), secret(), ""),
        (spec("Merge"), secret(), ""),
        (spec("Merge"), secret(None, owner("Deployment", "x", "apps/v1")), ""),
        (spec("Merge"), secret(None, owner(name="other")), "belongs to another ExternalSecret"),
        (spec(), secret({**OWN_LABELS, CREATED_BY_LABEL: "x"}), "belongs to another ExternalSecret"),
        (spec(), secret(OWN_LABELS, owner("Deployment", "x", "apps/v1")), "belongs to Deployment x"),
        (spec(uid=""), secret(OWN_LABELS, owner("Deployment", "x", "apps/v1")), ""),
    ],
)
def test_conflict_with_the_owner_of_an_existing_secret(
    wanted: ExternalSecretSpec, existing: dict[str, Any] | None, reason: str
) -> None:
    found = ownership.find_ownership_conflict(wanted, existing)
    assert bool(found) == bool(reason) and reason in found


def test_owner_reference_is_added_once_and_removed_with_the_policy() -> None:
    other = owner("Deployment", "x", "apps/v1")
    metadata: dict[str, Any] = {"ownerReferences": [other, owner()]}
    ownership.set_owner(metadata, spec())
    assert [entry["kind"] for entry in metadata["ownerReferences"]] == ["Deployment", "ExternalSecret"]
    assert metadata["ownerReferences"][1]["apiVersion"] == "external-secrets.io/v1"
    ownership.set_owner(metadata, spec("Orphan"))
    assert metadata["ownerReferences"] == [other]
    ownership.set_owner(metadata, spec(uid=""))
    assert metadata["ownerReferences"] == [other]
    alone: dict[str, Any] = {"ownerReferences": [owner()]}
    ownership.set_owner(alone, spec("Orphan"))
    assert alone == {}


def test_long_names_get_a_hash_as_field_manager() -> None:
    assert ownership.build_field_manager(spec()) == "externalsecrets.external-secrets.io/db"
    long_name = ownership.build_field_manager(spec(name="x" * 60))
    assert long_name.startswith("externalsecrets.external-secrets.io/sha3/") and "x" * 9 not in long_name
