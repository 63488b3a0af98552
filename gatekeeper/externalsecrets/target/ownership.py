"""Which Secrets belong to which ExternalSecret: labels, annotations, owner references and field managers.

They are those of external-secrets, so that a cluster can be taken over without a write. Source: external-secrets
`pkg/controllers/externalsecret/externalsecret_controller.go`, `apis/externalsecrets/v1/externalsecret_types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.externalsecrets.model import GROUP, ExternalSecretSpec
from gatekeeper.externalsecrets.target.data_hash import compute_go_hash
from gatekeeper.model import get_field

MANAGED_LABEL = "reconcile.external-secrets.io/managed"
CREATED_BY_LABEL = "reconcile.external-secrets.io/created-by"
DATA_HASH_ANNOTATION = "reconcile.external-secrets.io/data-hash"
MANAGER_PREFIX = "externalsecrets.external-secrets.io/"
MAX_MANAGER_LENGTH = 63


def compute_creator_mark(spec: ExternalSecretSpec) -> str:
    """Return the value of the label `CREATED_BY_LABEL` for an ExternalSecret."""
    return compute_go_hash(f"{spec.namespace}/{spec.name}")


def is_created_by(secret: Mapping[str, Any], spec: ExternalSecretSpec) -> bool:
    """Return whether the labels of a Secret say that this ExternalSecret created it."""
    return bool(get_field(secret, ("metadata", "labels", CREATED_BY_LABEL)) == compute_creator_mark(spec))


def is_managed(secret: Mapping[str, Any]) -> bool:
    """Return whether the labels of a Secret say that an ExternalSecret manages it."""
    return bool(get_field(secret, ("metadata", "labels", MANAGED_LABEL)) == "true")


def build_field_manager(spec: ExternalSecretSpec) -> str:
    """Return the name under which an ExternalSecret writes, which Kubernetes records for the fields it sets."""
    name = f"{MANAGER_PREFIX}{spec.name}"
    return name if len(name) <= MAX_MANAGER_LENGTH else f"{MANAGER_PREFIX}sha3/{compute_go_hash(spec.name)}"


def is_owner(owner: Mapping[str, Any], spec: ExternalSecretSpec) -> bool:
    """Return whether an owner reference names this ExternalSecret, in any API version."""
    return is_external_secret_owner(owner) and owner.get("name") == spec.name


def is_external_secret_owner(owner: Mapping[str, Any]) -> bool:
    """Return whether an owner reference names an ExternalSecret."""
    return owner.get("kind") == "ExternalSecret" and str(owner.get("apiVersion")).partition("/")[0] == GROUP


def set_owner(metadata: dict[str, Any], spec: ExternalSecretSpec) -> None:
    """Add or remove the owner reference to an ExternalSecret, by its creation policy.

    An ExternalSecret from a repository has no uid; then the owner references stay unchanged.

    Args:
        metadata: the metadata of the Secret; changed in place.
    """
    if not spec.uid:
        return
    owners = [owner for owner in metadata.get("ownerReferences") or () if not is_owner(owner, spec)]
    if spec.target.creation_policy == "Owner":
        owners.append(
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "ExternalSecret",
                "name": spec.name,
                "uid": spec.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        )
    metadata.pop("ownerReferences", None)
    if owners:
        metadata["ownerReferences"] = owners


def find_ownership_conflict(spec: ExternalSecretSpec, existing: Mapping[str, Any] | None) -> str:
    """Return why an ExternalSecret must not write an existing Secret; empty if it may."""
    if existing is None or spec.target.creation_policy == "None":
        return ""
    secret = f"Secret {spec.target.name}"
    references = get_field(existing, ("metadata", "ownerReferences")) or ()
    controllers = [owner for owner in references if owner.get("controller")]
    if any(is_external_secret_owner(owner) and not is_owner(owner, spec) for owner in controllers):
        return f"{secret} belongs to another ExternalSecret"
    if spec.target.creation_policy == "Merge":
        return ""
    if spec.uid and spec.target.creation_policy == "Owner":
        others = [owner for owner in controllers if not is_owner(owner, spec)]
        if others:
            return f"{secret} belongs to {others[0].get('kind')} {others[0].get('name')}"
    if get_field(existing, ("metadata", "labels", CREATED_BY_LABEL)) and not is_created_by(existing, spec):
        return f"{secret} belongs to another ExternalSecret"
    if not is_managed(existing):
        return (
            f"{secret} already exists and is not managed by an ExternalSecret; delete it, or set "
            "`creationPolicy: Merge`"
        )
    return ""
