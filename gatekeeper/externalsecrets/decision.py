"""What is to be done for one ExternalSecret: make its Secret, change it, leave it, wait, or say why not.

A Secret is never taken away because something could not be read, and never written over where it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from gatekeeper.errors import GateError, ToolError
from gatekeeper.externalsecrets import secret_builder
from gatekeeper.externalsecrets.fetch_plan import FetchResult
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.secret_builder import CREATED_BY_LABEL, MANAGED_LABEL, TemplateReader, compute_go_hash
from gatekeeper.model import get_field
from gatekeeper.stores.protocol import StoreError

SecretAction = Literal["create", "change", "as it is", "delete", "wait", "failed"]
MAX_SECRET_BYTES = 1024 * 1024
# Kubernetes itself makes these, and whoever could have one made could be anybody.
FORBIDDEN_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")


class Decision(NamedTuple):
    """What is to be done, and why.

    Attributes:
        secret: as it shall be; None where nothing is written.
        is_partial: whether some of what was asked for is not there.
        is_transient: whether it failed of something that may be over when it is tried again.
    """

    spec: ExternalSecretSpec
    action: SecretAction
    reason: str = ""
    secret: dict[str, Any] | None = None
    is_partial: bool = False
    is_transient: bool = False

    @property
    def is_synced(self) -> bool:
        """Whether all that was asked for is there, or will be once this is done."""
        return self.action not in ("failed", "wait") and not self.is_partial

    def __repr__(self) -> str:
        return f"Decision({self.spec}, {self.action}, {self.reason})"


def decide(
    spec: ExternalSecretSpec, fetched: FetchResult, existing: Mapping[str, Any] | None, template_reader: TemplateReader
) -> Decision:
    """What is to be done for an ExternalSecret.

    Args:
        existing: the Secret of the target's name, as it is now.
        template_reader: gives templates that stand in ConfigMaps and Secrets.
    """
    try:
        foreign = _find_ownership_conflict(spec, existing)
        if foreign:
            return Decision(spec, "failed", foreign)
        data, missing = secret_builder.collect_values(spec, fetched)
        if not data:
            return _decide_without_values(spec, existing, missing)
        if spec.target.creation_policy == "None":
            return Decision(spec, "as it is", "creationPolicy is None: nothing is written")
        if existing is None and spec.target.creation_policy == "Merge":
            return Decision(spec, "wait", "creationPolicy is Merge, and the Secret is not there yet")
        if existing is not None and spec.target.immutable:
            return Decision(spec, "as it is", "immutable: it is written once")
        secret = secret_builder.build_secret(spec, data, existing, template_reader)
    except GateError as error:
        passes = isinstance(error, ToolError) or (isinstance(error, StoreError) and error.is_transient)
        return Decision(spec, "failed", str(error), is_transient=passes)
    fault = _find_fault(secret, existing)
    if fault:
        return Decision(spec, "failed", fault)
    # Part of what was asked for is not "synced".
    reason = f"not all of it: {'; '.join(missing)}" if missing else ""
    if secret_builder.is_up_to_date(secret, existing):
        return Decision(spec, "as it is", reason, is_partial=bool(missing))
    return Decision(spec, "create" if existing is None else "change", reason, secret, bool(missing))


def _find_ownership_conflict(spec: ExternalSecretSpec, existing: Mapping[str, Any] | None) -> str:
    """Why a Secret that is there is not this ExternalSecret's to change."""
    if existing is None or spec.target.creation_policy == "None":
        return ""
    controllers = [one for one in get_field(existing, ("metadata", "ownerReferences")) or () if one.get("controller")]
    if any(
        secret_builder.is_external_secret_owner(one) and not secret_builder.is_owner(one, spec) for one in controllers
    ):
        return f"Secret {spec.target.name} belongs to another ExternalSecret"
    if spec.target.creation_policy == "Merge":
        return ""
    if spec.uid and spec.target.creation_policy == "Owner":
        others = [one for one in controllers if not secret_builder.is_owner(one, spec)]
        if others:
            return f"Secret {spec.target.name} belongs to {others[0].get('kind')} {others[0].get('name')}"
    owner = get_field(existing, ("metadata", "labels", CREATED_BY_LABEL))
    if owner and owner != compute_go_hash(f"{spec.namespace}/{spec.name}"):
        return f"Secret {spec.target.name} belongs to another ExternalSecret"
    if get_field(existing, ("metadata", "labels", MANAGED_LABEL)) != "true":
        return (
            f"Secret {spec.target.name} is there and nobody's: it is not written over; delete it, "
            "or set `creationPolicy: Merge`"
        )
    return ""


def _decide_without_values(
    spec: ExternalSecretSpec, existing: Mapping[str, Any] | None, missing: list[str]
) -> Decision:
    """The stores have none of it any more, and `deletionPolicy` lets that be."""
    reason = "; ".join(missing)
    if spec.target.deletion_policy != "Delete" or existing is None:
        return Decision(spec, "wait", f"nothing is there to be read: {reason}")
    if get_field(existing, ("metadata", "labels", CREATED_BY_LABEL)) != compute_go_hash(
        f"{spec.namespace}/{spec.name}"
    ):
        return Decision(spec, "failed", "the Secret is not deleted: it was not made by this ExternalSecret")
    return Decision(spec, "delete", f"`deletionPolicy: Delete`: {reason}")


def _find_fault(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> str:
    if secret.get("type") in FORBIDDEN_TYPES:
        return f"a Secret of the type {secret.get('type')} is not made: whoever has one can be somebody else"
    size = sum(len(text) * 3 // 4 for text in secret["data"].values())
    if size > MAX_SECRET_BYTES:
        return f"the Secret would have {size} bytes; Kubernetes takes {MAX_SECRET_BYTES}"
    if existing is not None and existing.get("immutable"):
        return "the Secret is immutable, and would change; delete it first"
    if existing is not None and existing.get("type", "Opaque") != secret.get("type", "Opaque"):
        return f"the Secret is of the type {existing.get('type')}, which cannot be changed; delete it first"
    return ""
