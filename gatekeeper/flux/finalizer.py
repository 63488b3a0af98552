"""What becomes of what a Kustomization has applied when it is deleted itself.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (deletion policy), `internal/controller`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gatekeeper.apply import inventory, server_side_apply
from gatekeeper.apply.server_side_apply import PruneResult
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Object
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.flux import kustomization_spec, ownership, target_cluster
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import get_field

# Flux's own: whoever goes back to it finds what it knows.
FINALIZER = "finalizers.fluxcd.io"
RETRY_SECONDS = 2.0


def add_finalizer(cluster: DynamicClient, value: Object) -> None:
    """Sees to it that a Kustomization is not gone before what it has applied is; if somebody changes it, later."""
    held = get_field(value, ("metadata", "finalizers")) or []
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    if FINALIZER in held or kind is None:
        return
    try:
        cluster.patch(kind, value, {"metadata": {"finalizers": [*held, FINALIZER]}})
    except ApiStatusError as error:
        if error.code not in (CONFLICT, NOT_FOUND):
            raise


def finalize_kustomization(
    cluster: DynamicClient, value: Object, record: Callable[[list[PruneResult]], None]
) -> float | None:
    """Takes away what a Kustomization that is being deleted has applied, as it says, and lets it go.

    Args:
        record: is told what will be taken away, before it is.

    Returns:
        In how many seconds it is to be looked at again; None when it is let go.

    Raises:
        ToolError: the cluster does not do it.
    """
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    metadata = value["metadata"]
    live = cluster.get(kind, metadata["namespace"], metadata["name"]) if kind else None
    if kind is None or live is None or FINALIZER not in (get_field(live, ("metadata", "finalizers")) or ()):
        return None
    spec = live["spec"]
    policy = spec.get("deletionPolicy") or "MirrorPrune"
    goes = policy in ("Delete", "WaitForTermination") or (policy == "MirrorPrune" and bool(spec.get("prune")))
    try:
        wanted = kustomization_spec.parse_kustomization_spec(live)
        if (
            wanted.service_account
            and wanted.kubeconfig_secret is None
            and _is_account_missing(cluster, metadata["namespace"], wanted.service_account)
        ):
            # Nobody could take it away any more: Flux lets it go then, too.
            goes = False
        there = target_cluster.resolve_cluster(cluster, metadata["namespace"], wanted)
    except (FieldError, SpecError) as error:
        # With other rights than those that it names nothing is taken away.
        raise ToolError(f"cannot be finished: {error}; mend it, or take its finalizer {FINALIZER} off") from None
    if goes and not spec.get("suspend"):
        keep = partial(ownership.find_keep_reason, live)
        gone = server_side_apply.plan_prune(there, inventory.sort_for_prune(inventory.read_inventory(live)), keep)
        if any(one.action == "delete" for one in gone):
            record(gone)
        taken = server_side_apply.prune_objects(there, gone, keep)
        if any(one.action == "failed" for one in taken):
            raise ApiStatusError(
                "; ".join(f"{one.entry}: {one.reason}" for one in taken if one.action == "failed"), CONFLICT
            )
        if policy == "WaitForTermination" and any(one.action == "delete" for one in taken):
            return RETRY_SECONDS
    left = [one for one in live["metadata"]["finalizers"] if one != FINALIZER]
    cluster.patch(kind, live, {"metadata": {"finalizers": left}})
    return None


def _is_account_missing(cluster: DynamicClient, namespace: str, name: str) -> bool:
    kind = cluster.find_kind("v1", "ServiceAccount")
    return kind is not None and cluster.get(kind, namespace, name) is None
