"""Which Secret comes of a SealedSecret, given what is there already.

Source: sealed-secrets `pkg/controller/controller.go` (`unseal`), README "Managing existing secrets". Unlike there, what
somebody else changes in the Secret is put right, and a Secret that cannot be changed is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gatekeeper.errors import SealError
from gatekeeper.model import at
from gatekeeper.sealedsecrets.scope import PREFIX

MANAGED, PATCH, NO_OWNER = f"{PREFIX}managed", f"{PREFIX}patch", f"{PREFIX}skip-set-owner-references"
# What the cluster and others write into an object; all else is the SealedSecret's.
SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "finalizers")


class Target(NamedTuple):
    """What is to be done, and the Secret as it shall be."""

    action: Literal["create", "change", "remake", "as it is"]
    secret: dict[str, Any]


def target(sealed: Mapping[str, Any], opened: Mapping[str, Any], existing: Mapping[str, Any] | None) -> Target:
    """The Secret of a SealedSecret.

    Args:
        opened: the Secret in it; see `sealed.unseal`.
        existing: what is there under its name; None where nothing is.

    Raises:
        SealError: what is there is another's.
    """
    metadata = sealed["metadata"]
    own = {
        "apiVersion": sealed["apiVersion"], "kind": sealed["kind"], "name": metadata["name"],
        "uid": metadata["uid"], "controller": True,
    }  # fmt: skip
    inner = dict(opened["metadata"])
    # Whatever its template says: a SealedSecret has the Secret of its own name, in its own namespace.
    inner |= {"name": metadata["name"], "namespace": metadata["namespace"]}
    if at(inner, ("annotations", NO_OWNER)) != "true":
        inner["ownerReferences"] = [own]
    wanted = {**opened, "metadata": inner}
    if existing is None:
        return Target("create", wanted)
    noted = at(existing, ("metadata", "annotations"))
    noted = noted if isinstance(noted, dict) else {}
    is_own = any(one.get("uid") == own["uid"] for one in at(existing, ("metadata", "ownerReferences")) or ())
    if noted.get(PATCH) == "true":
        return _changed(existing, _patched(wanted, existing))
    if not is_own and noted.get(MANAGED) != "true" and not _is_without_owner(inner, existing):
        raise SealError(f"the Secret {metadata['name']} is there already, and not of this SealedSecret: "
                        f"annotate it with {MANAGED}=true to have it taken over")  # fmt: skip
    return _changed(existing, _whole(wanted, existing))


def _is_without_owner(inner: Mapping[str, Any], existing: Mapping[str, Any]) -> bool:
    """Whether it is one that was made without an owner, as its template says."""
    return {at(inner, ("annotations", NO_OWNER)), at(existing, ("metadata", "annotations", NO_OWNER))} == {"true"}


def _whole(wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    held = existing["metadata"]
    kept = {key: held[key] for key in SERVERS if key in held}
    return {**wanted, "type": wanted.get("type") or existing.get("type"), "metadata": {**wanted["metadata"], **kept}}


def _patched(wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, with what is sealed added; its owner, its type and its other values stay."""
    metadata = dict(existing["metadata"])
    for field in ("labels", "annotations"):
        more = wanted["metadata"].get(field) or {}
        if more:
            metadata[field] = {**(metadata.get(field) or {}), **more}
    return {**existing, "metadata": metadata, "data": {**(existing.get("data") or {}), **(wanted.get("data") or {})}}


NOTED = ("labels", "annotations", "ownerReferences")


def _differing(fields: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [field for field in fields if (before.get(field) or None) != (now.get(field) or None)]


def _changed(existing: Mapping[str, Any], secret: dict[str, Any]) -> Target:
    differs = [
        field for field in ("data", "type", "immutable") if (existing.get(field) or None) != (secret.get(field) or None)
    ]
    noted = [
        field
        for field in ("labels", "annotations", "ownerReferences")
        if (existing["metadata"].get(field) or None) != (secret["metadata"].get(field) or None)
    ]
    if not differs and not noted:
        return Target("as it is", secret)
    if "type" in differs or (existing.get("immutable") and differs):
        fresh = {key: held for key, held in secret["metadata"].items() if key not in SERVERS}
        return Target("remake", {**secret, "metadata": fresh})
    return Target("change", secret)
