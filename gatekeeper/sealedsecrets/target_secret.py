"""Which Secret comes of a SealedSecret, given what is there already.

Source: sealed-secrets `pkg/controller/controller.go` (`unseal`), README "Managing existing secrets". Unlike there, what
somebody else changes in the Secret is put right, and a Secret that cannot be changed is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gatekeeper.errors import SealError
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX

MANAGED_ANNOTATION, PATCH_ANNOTATION, SKIP_OWNER_ANNOTATION = (
    f"{ANNOTATION_PREFIX}managed",
    f"{ANNOTATION_PREFIX}patch",
    f"{ANNOTATION_PREFIX}skip-set-owner-references",
)
# What the cluster and others write into an object; all else is the SealedSecret's.
SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "finalizers")


class SecretChange(NamedTuple):
    """What is to be done, and the Secret as it shall be."""

    action: Literal["create", "change", "remake", "as it is"]
    secret: dict[str, Any]


def decide_change(
    sealed_secret: Mapping[str, Any], unsealed: Mapping[str, Any], existing: Mapping[str, Any] | None
) -> SecretChange:
    """The Secret of a SealedSecret.

    Args:
        unsealed: the Secret in it; see `sealed.unseal`.
        existing: what is there under its name; None where nothing is.

    Raises:
        SealError: what is there is another's.
    """
    metadata = sealed_secret["metadata"]
    own = {
        "apiVersion": sealed_secret["apiVersion"],
        "kind": sealed_secret["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    inner = dict(unsealed["metadata"])
    # Whatever its template says: a SealedSecret has the Secret of its own name, in its own namespace.
    inner |= {"name": metadata["name"], "namespace": metadata["namespace"]}
    if get_field(inner, ("annotations", SKIP_OWNER_ANNOTATION)) != "true":
        inner["ownerReferences"] = [own]
    wanted = {**unsealed, "metadata": inner}
    if existing is None:
        return SecretChange("create", wanted)
    noted = get_field(existing, ("metadata", "annotations"))
    noted = noted if isinstance(noted, dict) else {}
    is_own = any(one.get("uid") == own["uid"] for one in get_field(existing, ("metadata", "ownerReferences")) or ())
    if noted.get(PATCH_ANNOTATION) == "true":
        return _compare(existing, _build_patched(wanted, existing))
    if not is_own and noted.get(MANAGED_ANNOTATION) != "true" and not _is_without_owner(inner, existing):
        raise SealError(
            f"the Secret {metadata['name']} is there already, and not of this SealedSecret: "
            f"annotate it with {MANAGED_ANNOTATION}=true to have it taken over"
        )
    return _compare(existing, _build_replacement(wanted, existing))


def _is_without_owner(inner: Mapping[str, Any], existing: Mapping[str, Any]) -> bool:
    """Whether it is one that was made without an owner, as its template says."""
    return {
        get_field(inner, ("annotations", SKIP_OWNER_ANNOTATION)),
        get_field(existing, ("metadata", "annotations", SKIP_OWNER_ANNOTATION)),
    } == {"true"}


def _build_replacement(desired: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    held = existing["metadata"]
    kept = {key: held[key] for key in SERVER_FIELDS if key in held}
    return {**desired, "type": desired.get("type") or existing.get("type"), "metadata": {**desired["metadata"], **kept}}


def _build_patched(desired: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, with what is sealed added; its owner, its type and its other values stay."""
    metadata = dict(existing["metadata"])
    for field in ("labels", "annotations"):
        more = desired["metadata"].get(field) or {}
        if more:
            metadata[field] = {**(metadata.get(field) or {}), **more}
    return {**existing, "metadata": metadata, "data": {**(existing.get("data") or {}), **(desired.get("data") or {})}}


COMPARED_METADATA = ("labels", "annotations", "ownerReferences")


def _list_differing_fields(fields: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [field for field in fields if (old.get(field) or None) != (new.get(field) or None)]


def _compare(existing: Mapping[str, Any], secret: dict[str, Any]) -> SecretChange:
    differs = [
        field for field in ("data", "type", "immutable") if (existing.get(field) or None) != (secret.get(field) or None)
    ]
    noted = [
        field
        for field in ("labels", "annotations", "ownerReferences")
        if (existing["metadata"].get(field) or None) != (secret["metadata"].get(field) or None)
    ]
    if not differs and not noted:
        return SecretChange("as it is", secret)
    if "type" in differs or (existing.get("immutable") and differs):
        fresh = {key: held for key, held in secret["metadata"].items() if key not in SERVER_FIELDS}
        return SecretChange("remake", {**secret, "metadata": fresh})
    return SecretChange("change", secret)
