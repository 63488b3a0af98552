"""The decision what to do for one ExternalSecret: create, change, keep or delete its Secret, wait, or fail.

A Secret is never deleted because a store could not be read, and a Secret of another owner is never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gatekeeper.errors import GatekeeperError, ToolError
from gatekeeper.externalsecrets.fetch_plan import FetchResult
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.target import ownership, secret_builder
from gatekeeper.externalsecrets.target.secret_data import collect_values
from gatekeeper.externalsecrets.target.template import TemplateReader
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores.protocol import StoreError

SecretAction = Literal["create", "change", "unchanged", "delete", "wait", "failed"]
MAX_SECRET_BYTES = 1024 * 1024
# Secrets of these types authenticate to the cluster: creating one would mean to become any ServiceAccount.
FORBIDDEN_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")


class Decision(NamedTuple):
    """What to do, and why.

    Attributes:
        secret: the desired Secret; None if nothing is written.
        is_partial: whether some of the requested secrets are missing.
        is_transient: whether a failure may pass, so that another attempt makes sense.
    """

    spec: ExternalSecretSpec
    action: SecretAction
    reason: str = ""
    secret: dict[str, Any] | None = None
    is_partial: bool = False
    is_transient: bool = False

    @property
    def is_synced(self) -> bool:
        """Whether the Secret has all requested values, or will have them once this decision is applied."""
        return self.action not in ("failed", "wait") and not self.is_partial

    def __repr__(self) -> str:
        return f"Decision({self.spec}, {self.action}, {self.reason})"


def decide(
    spec: ExternalSecretSpec, fetched: FetchResult, existing: Mapping[str, Any] | None, template_reader: TemplateReader
) -> Decision:
    """Decide what to do for an ExternalSecret.

    Args:
        existing: the Secret with the name of the target; None if there is none.
        template_reader: returns templates from ConfigMaps and Secrets.
    """
    try:
        conflict = ownership.find_ownership_conflict(spec, existing)
        if conflict:
            return Decision(spec, "failed", conflict)
        data, missing = collect_values(spec, fetched)
        if not data:
            return _decide_without_values(spec, existing, missing)
        if spec.target.creation_policy == "None":
            return Decision(spec, "unchanged", "`creationPolicy: None`: nothing is written")
        if existing is None and spec.target.creation_policy == "Merge":
            return Decision(spec, "wait", "`creationPolicy: Merge`: the Secret does not exist yet")
        if existing is not None and spec.target.immutable:
            return Decision(spec, "unchanged", "`immutable`: the Secret is written once")
        secret = secret_builder.build_secret(spec, data, existing, template_reader)
    except GatekeeperError as error:
        is_transient = isinstance(error, ToolError) or (isinstance(error, StoreError) and error.is_transient)
        return Decision(spec, "failed", str(error), is_transient=is_transient)
    fault = _find_fault(secret, existing)
    if fault:
        return Decision(spec, "failed", fault)
    reason = f"incomplete: {'; '.join(missing)}" if missing else ""
    if secret_builder.is_up_to_date(secret, existing):
        return Decision(spec, "unchanged", reason, is_partial=bool(missing))
    return Decision(spec, "create" if existing is None else "change", reason, secret, bool(missing))


def _decide_without_values(
    spec: ExternalSecretSpec, existing: Mapping[str, Any] | None, missing: list[str]
) -> Decision:
    """Decide for an ExternalSecret whose secrets are all missing, which `deletionPolicy` allows."""
    reason = "; ".join(missing)
    if spec.target.deletion_policy != "Delete" or existing is None:
        return Decision(spec, "wait", f"all secrets are missing: {reason}")
    if not ownership.is_created_by(existing, spec):
        return Decision(spec, "failed", "the Secret is not deleted: this ExternalSecret did not create it")
    return Decision(spec, "delete", f"`deletionPolicy: Delete`: {reason}")


def _find_fault(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> str:
    if secret.get("type") in FORBIDDEN_TYPES:
        return f"a Secret of type {secret.get('type')} is not allowed: it would give access to the cluster"
    size = sum(len(text) * 3 // 4 for text in secret["data"].values())
    if size > MAX_SECRET_BYTES:
        return f"the Secret would have {size} bytes; Kubernetes allows {MAX_SECRET_BYTES}"
    if existing is not None and existing.get("immutable"):
        return "the Secret is immutable and would have to change; delete it first"
    if existing is not None and existing.get("type", "Opaque") != secret.get("type", "Opaque"):
        return f"the Secret has the type {existing.get('type')}, which cannot be changed; delete it first"
    return ""
