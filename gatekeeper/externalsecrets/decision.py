"""What is to be done for one ExternalSecret: make its Secret, change it, leave it, wait, or say why not.

A Secret is never taken away because something could not be read, and never written over where it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from gatekeeper.errors import GateError, ToolError
from gatekeeper.externalsecrets import secret_builder
from gatekeeper.externalsecrets.fetch_plan import Fetched
from gatekeeper.externalsecrets.model import Wanted
from gatekeeper.externalsecrets.secret_builder import CREATED_BY, MANAGED, TextOf, go_hash
from gatekeeper.model import at
from gatekeeper.stores.protocol import StoreError

Action = Literal["create", "change", "as it is", "delete", "wait", "failed"]
MOST_BYTES = 1024 * 1024
# Kubernetes itself makes these, and whoever could have one made could be anybody.
FORBIDDEN = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")


class Decision(NamedTuple):
    """What is to be done, and why.

    Attributes:
        secret: as it shall be; None where nothing is written.
        is_partial: whether some of what was asked for is not there.
        may_pass: whether it failed of something that may be over when it is tried again.
    """

    wanted: Wanted
    action: Action
    reason: str = ""
    secret: dict[str, Any] | None = None
    is_partial: bool = False
    may_pass: bool = False

    @property
    def is_synced(self) -> bool:
        """Whether all that was asked for is there, or will be once this is done."""
        return self.action not in ("failed", "wait") and not self.is_partial

    def __repr__(self) -> str:
        return f"Decision({self.wanted}, {self.action}, {self.reason})"


def decide(wanted: Wanted, fetched: Fetched, existing: Mapping[str, Any] | None, text_of: TextOf) -> Decision:
    """What is to be done for an ExternalSecret.

    Args:
        existing: the Secret of the target's name, as it is now.
        text_of: gives templates that stand in ConfigMaps and Secrets.
    """
    try:
        foreign = _foreign(wanted, existing)
        if foreign:
            return Decision(wanted, "failed", foreign)
        data, missing = secret_builder.gathered(wanted, fetched)
        if not data:
            return _nothing(wanted, existing, missing)
        if wanted.target.creation == "None":
            return Decision(wanted, "as it is", "creationPolicy is None: nothing is written")
        if existing is None and wanted.target.creation == "Merge":
            return Decision(wanted, "wait", "creationPolicy is Merge, and the Secret is not there yet")
        if existing is not None and wanted.target.immutable:
            return Decision(wanted, "as it is", "immutable: it is written once")
        secret = secret_builder.built(wanted, data, existing, text_of)
    except GateError as error:
        passes = isinstance(error, ToolError) or (isinstance(error, StoreError) and error.may_pass)
        return Decision(wanted, "failed", str(error), may_pass=passes)
    fault = _fault(secret, existing)
    if fault:
        return Decision(wanted, "failed", fault)
    # Part of what was asked for is not "synced".
    reason = f"not all of it: {'; '.join(missing)}" if missing else ""
    if secret_builder.is_same(secret, existing):
        return Decision(wanted, "as it is", reason, is_partial=bool(missing))
    return Decision(wanted, "create" if existing is None else "change", reason, secret, bool(missing))


def _foreign(wanted: Wanted, existing: Mapping[str, Any] | None) -> str:
    """Why a Secret that is there is not this ExternalSecret's to change."""
    if existing is None or wanted.target.creation == "None":
        return ""
    controllers = [one for one in at(existing, ("metadata", "ownerReferences")) or () if one.get("controller")]
    if any(secret_builder.is_external(one) and not secret_builder.is_own(one, wanted) for one in controllers):
        return f"Secret {wanted.target.name} belongs to another ExternalSecret"
    if wanted.target.creation == "Merge":
        return ""
    if wanted.uid and wanted.target.creation == "Owner":
        others = [one for one in controllers if not secret_builder.is_own(one, wanted)]
        if others:
            return f"Secret {wanted.target.name} belongs to {others[0].get('kind')} {others[0].get('name')}"
    owner = at(existing, ("metadata", "labels", CREATED_BY))
    if owner and owner != go_hash(f"{wanted.namespace}/{wanted.name}"):
        return f"Secret {wanted.target.name} belongs to another ExternalSecret"
    if at(existing, ("metadata", "labels", MANAGED)) != "true":
        return (
            f"Secret {wanted.target.name} is there and nobody's: it is not written over; delete it, "
            "or set `creationPolicy: Merge`"
        )
    return ""


def _nothing(wanted: Wanted, existing: Mapping[str, Any] | None, missing: list[str]) -> Decision:
    """The stores have none of it any more, and `deletionPolicy` lets that be."""
    reason = "; ".join(missing)
    if wanted.target.deletion != "Delete" or existing is None:
        return Decision(wanted, "wait", f"nothing is there to be read: {reason}")
    if at(existing, ("metadata", "labels", CREATED_BY)) != go_hash(f"{wanted.namespace}/{wanted.name}"):
        return Decision(wanted, "failed", "the Secret is not deleted: it was not made by this ExternalSecret")
    return Decision(wanted, "delete", f"`deletionPolicy: Delete`: {reason}")


def _fault(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> str:
    if secret.get("type") in FORBIDDEN:
        return f"a Secret of the type {secret.get('type')} is not made: whoever has one can be somebody else"
    size = sum(len(text) * 3 // 4 for text in secret["data"].values())
    if size > MOST_BYTES:
        return f"the Secret would have {size} bytes; Kubernetes takes {MOST_BYTES}"
    if existing is not None and existing.get("immutable"):
        return "the Secret is immutable, and would change; delete it first"
    if existing is not None and existing.get("type", "Opaque") != secret.get("type", "Opaque"):
        return f"the Secret is of the type {existing.get('type')}, which cannot be changed; delete it first"
    return ""
