"""The finalizer of Kustomizations: deletes what a deleted Kustomization has applied, as its deletion policy says.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (deletion policy), `internal/controller`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gatekeeper.apply import inventory, prune
from gatekeeper.apply.prune import PruneResult
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.flux import dependencies, kustomization_spec, ownership, target_cluster
from gatekeeper.flux.kustomization_spec import KustomizationSpec
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Object, get_field, name_of
from gatekeeper.named_tuple import NamedTuple

# The finalizer of Flux itself, so that its controller can take over again.
FINALIZER = "finalizers.fluxcd.io"
RETRY_SECONDS = 2.0


def add_finalizer(cluster: DynamicClient, value: Object) -> None:
    """Adds the finalizer to a Kustomization; after a conflict the next reconcile does it.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    finalizers = get_field(value, ("metadata", "finalizers")) or []
    if FINALIZER in finalizers:
        return
    try:
        _write_finalizers(cluster, value, [*finalizers, FINALIZER])
    except ApiStatusError as error:
        if error.code not in (CONFLICT, NOT_FOUND):
            raise


def _write_finalizers(cluster: DynamicClient, value: Object, finalizers: list[str]) -> None:
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    if kind is not None:
        cluster.patch(kind, value, {"metadata": {"finalizers": finalizers}})


def finalize_kustomization(
    cluster: DynamicClient, value: Object, record: Callable[[list[PruneResult]], None]
) -> float | None:
    """Deletes what a Kustomization that is being deleted has applied, and removes its finalizer.

    Args:
        record: called with what will be deleted, before it is; where it raises, nothing is deleted.

    Returns:
        Seconds until the next try; None if the finalizer is removed.

    Raises:
        ToolError: an object cannot be deleted, or the cluster refuses or does not answer.
    """
    live = dependencies.get_kustomization(cluster, name_of(value))
    if live is None or FINALIZER not in (get_field(live, ("metadata", "finalizers")) or ()):
        return None
    try:
        spec = kustomization_spec.parse_kustomization_spec(live)
        target = target_cluster.resolve_cluster(cluster, name_of(live).namespace, spec)
    except (FieldError, SpecError) as error:
        # Nothing is deleted with other rights than those that it names.
        raise ToolError(f"cannot be finalized: {error}; correct it, or remove its finalizer {FINALIZER}") from None
    deletion = _Deletion(cluster, live, spec, target)
    if deletion.is_pruning() and not _delete_objects(deletion, record):
        return RETRY_SECONDS
    finalizers = [name for name in live["metadata"]["finalizers"] if name != FINALIZER]
    _write_finalizers(cluster, live, finalizers)
    return None


class _Deletion(NamedTuple):
    """A Kustomization that is being deleted.

    Attributes:
        target: the cluster that it was applied to, with the rights that count there.
    """

    cluster: DynamicClient
    live: Object
    spec: KustomizationSpec
    target: DynamicClient

    @property
    def policy(self) -> str:
        return str(get_field(self.live, ("spec", "deletionPolicy")) or "MirrorPrune")

    def is_pruning(self) -> bool:
        """Whether its objects are deleted with it."""
        fields = self.live["spec"]
        if fields.get("suspend") or self.policy not in ("Delete", "WaitForTermination", "MirrorPrune"):
            return False
        if self.policy == "MirrorPrune" and not fields.get("prune"):
            return False
        # Without its ServiceAccount, the objects can no longer be deleted: Flux also removes the finalizer then.
        return not self.spec.service_account or bool(self.spec.kubeconfig_secret) or self._has_account()

    def _has_account(self) -> bool:
        kind = self.cluster.find_kind("v1", "ServiceAccount")
        namespace = name_of(self.live).namespace
        return kind is None or self.cluster.get(kind, namespace, self.spec.service_account) is not None


def _delete_objects(deletion: _Deletion, record: Callable[[list[PruneResult]], None]) -> bool:
    """Deletes the objects of a Kustomization; whether they are gone, where its policy waits for that.

    Raises:
        ToolError: an object cannot be deleted.
    """
    keep_reason = partial(ownership.find_keep_reason, deletion.live)
    entries = inventory.sort_for_prune(inventory.read_inventory(deletion.live))
    plan = prune.plan_prune(deletion.target, entries, keep_reason)
    if any(result.action == "delete" for result in plan):
        record(plan)
    results = prune.prune_objects(deletion.target, plan, keep_reason)
    failed = [f"{result.entry}: {result.reason}" for result in results if result.action == "failed"]
    if failed:
        raise ApiStatusError("; ".join(failed), CONFLICT)
    is_waiting = deletion.policy == "WaitForTermination"
    return not (is_waiting and any(result.action == "delete" for result in results))
