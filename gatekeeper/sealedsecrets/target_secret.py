"""The decision what to do with the Secret of a SealedSecret, given the Secret that exists.

Source: sealed-secrets `pkg/controller/controller.go` (`unseal`), README "Managing existing secrets". Unlike upstream,
drift of the Secret is corrected, and a Secret with an immutable field that must change is recreated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gatekeeper.errors import SecretFileError
from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX

MANAGED_ANNOTATION, PATCH_ANNOTATION, SKIP_OWNER_ANNOTATION = (
    f"{ANNOTATION_PREFIX}managed",
    f"{ANNOTATION_PREFIX}patch",
    f"{ANNOTATION_PREFIX}skip-set-owner-references",
)
# The cluster and other controllers write these metadata fields; the SealedSecret determines all others.
SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "finalizers")
COMPARED_FIELDS = ("data", "type", "immutable")
COMPARED_METADATA = ("labels", "annotations", "ownerReferences")


class SecretChange(NamedTuple):
    """The write that is needed, and the desired Secret.

    Attributes:
        action: `remake` deletes the Secret and creates it again.
    """

    action: Literal["create", "change", "recreate", "unchanged"]
    secret: dict[str, Any]


def decide_change(
    sealed_secret: Mapping[str, Any], unsealed: Mapping[str, Any], existing: Mapping[str, Any] | None
) -> SecretChange:
    """Decide what to do with the Secret of a SealedSecret.

    Args:
        unsealed: the Secret that the SealedSecret contains; see `sealedsecret.unseal_secret`.
        existing: the Secret with this name in the cluster; None if there is none.

    Raises:
        SecretFileError: the existing Secret belongs to another owner.
    """
    metadata = sealed_secret["metadata"]
    owner = {
        "apiVersion": sealed_secret["apiVersion"],
        "kind": sealed_secret["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    desired_metadata = dict(unsealed["metadata"])
    # The template cannot change these: the Secret of a SealedSecret has its name and namespace.
    desired_metadata |= {"name": metadata["name"], "namespace": metadata["namespace"]}
    if get_field(desired_metadata, ("annotations", SKIP_OWNER_ANNOTATION)) != "true":
        desired_metadata["ownerReferences"] = [owner]
    desired = {**unsealed, "metadata": desired_metadata}
    if existing is None:
        return SecretChange("create", desired)
    annotations = get_field(existing, ("metadata", "annotations"))
    annotations = annotations if isinstance(annotations, dict) else {}
    if annotations.get(PATCH_ANNOTATION) == "true":
        return _compare(existing, _build_patched(desired, existing))
    owners = get_field(existing, ("metadata", "ownerReferences")) or ()
    is_own = any(reference.get("uid") == owner["uid"] for reference in owners)
    is_managed = annotations.get(MANAGED_ANNOTATION) == "true"
    if not is_own and not is_managed and not _is_without_owner(desired_metadata, existing):
        raise SecretFileError(
            f"the Secret {metadata['name']} exists and does not belong to this SealedSecret: "
            f"to hand it over, annotate it with {MANAGED_ANNOTATION}=true"
        )
    return _compare(existing, _build_replacement(desired, existing))


def _is_without_owner(desired_metadata: Mapping[str, Any], existing: Mapping[str, Any]) -> bool:
    """Return whether both the template and the existing Secret request a Secret without an owner."""
    return {
        get_field(desired_metadata, ("annotations", SKIP_OWNER_ANNOTATION)),
        get_field(existing, ("metadata", "annotations", SKIP_OWNER_ANNOTATION)),
    } == {"true"}


def _build_replacement(desired: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    server_fields = {key: value for key, value in existing["metadata"].items() if key in SERVER_FIELDS}
    return {
        **desired,
        "type": desired.get("type") or existing.get("type"),
        "metadata": {**desired["metadata"], **server_fields},
    }


def _build_patched(desired: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    """Add the unsealed values to the existing Secret; its owner, its type and its other values stay."""
    metadata = dict(existing["metadata"])
    for field in ("labels", "annotations"):
        additions = desired["metadata"].get(field) or {}
        if additions:
            metadata[field] = {**(metadata.get(field) or {}), **additions}
    return {**existing, "metadata": metadata, "data": {**(existing.get("data") or {}), **(desired.get("data") or {})}}


def _compare(existing: Mapping[str, Any], secret: dict[str, Any]) -> SecretChange:
    differing = _list_differing_fields(COMPARED_FIELDS, existing, secret)
    if not differing and not _list_differing_fields(COMPARED_METADATA, existing["metadata"], secret["metadata"]):
        return SecretChange("unchanged", secret)
    if "type" in differing or (existing.get("immutable") and differing):
        metadata = {key: value for key, value in secret["metadata"].items() if key not in SERVER_FIELDS}
        return SecretChange("recreate", {**secret, "metadata": metadata})
    return SecretChange("change", secret)


def _list_differing_fields(fields: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [field for field in fields if (old.get(field) or None) != (new.get(field) or None)]
