"""One Kustomization from the verdict on: opened, applied, taken away, waited for, and told of in the cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from gatekeeper.apply import gate_refusal, inventory, order, prune_budget, server_side_apply
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.server_side_apply import ObjectChange, PruneResult
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import SealError, SpecError, ToolError
from gatekeeper.flux import (
    decryption,
    health_expressions,
    kustomization_spec,
    ownership,
    readiness,
    status,
    status_writer,
    target_cluster,
)
from gatekeeper.flux.kustomization_spec import KustomizationSpec
from gatekeeper.flux.model import VERSIONS, PendingReconcile
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Verdict, get_field


def reconcile(context: ReconcileContext, build: ApplySet) -> ReconcileResult:
    """Applies a Kustomization, if the gate accepts it, and waits for what it waits for."""
    begun = begin_reconcile(context, build)
    if not begun.checks:
        return begun.result
    return finish_reconcile(
        context,
        begun,
        readiness.wait_until_ready(begun.target, begun.checks, begun.timeout_seconds, context.stop_event),
    )


def find_unready_dependency(context: ReconcileContext, build: ApplySet) -> str:
    """Which dependency is not ready by the expression about it, and why; empty where all are, or none has one."""
    for one in get_field(build.parent, ("spec", "dependsOn")) or ():
        if not one.get("readyExpr"):
            continue
        kind = context.cluster.find_newest_kind(GROUP, VERSIONS, "Kustomization")
        name = (one.get("namespace") or build.name[0], one["name"])
        own, other = (context.cluster.get(kind, *each) if kind else None for each in (build.name, name))
        try:
            reason = health_expressions.find_unready_reason(one["readyExpr"], own, other)
        except SpecError as error:
            reason = str(error)
        if reason:
            return f"dependency '{'/'.join(name)}' is not ready: {reason}"
    return ""


def begin_reconcile(context: ReconcileContext, build: ApplySet) -> PendingReconcile:
    """Applies a Kustomization, if the gate accepts it; what is waited for is left to do."""
    began, cluster = time.time(), context.cluster
    if get_field(build.parent, ("spec", "suspend")):
        return PendingReconcile(
            ReconcileResult(build, ReconcileOutcome(True, "Suspended", "it is suspended: nothing is done")),
            cluster,
            None,
            (),
        )
    refused = find_refusal(context.verdict, build)
    live = _get_live(cluster, build)
    before = inventory.read_inventory(live)

    def ended(done: ReconcileResult, held: Sequence[InventoryEntry] = before) -> PendingReconcile:
        return PendingReconcile(status_writer.write_result(context, live, done, held, began), cluster, live, held)

    if refused is not None:
        return ended(ReconcileResult(build, refused))
    try:
        wanted = kustomization_spec.parse_kustomization_spec(build.parent)
        kustomization_spec.require_variables(build.objects, build.parent)
        objects = ownership.add_owner_labels(_decrypt_objects(context, build), build.parent)
        there = target_cluster.resolve_cluster(cluster, build.name[0], wanted)
    except (FieldError, SealError, SpecError, ToolError) as error:
        return ended(ReconcileResult(build, ReconcileOutcome(False, "BuildFailed", str(error))))
    prunes = bool(get_field(build.parent, ("spec", "prune")))
    leaving = inventory.sort_for_prune(inventory.list_removed(before, objects)) if prunes else []
    gone = server_side_apply.plan_prune(there, leaving, partial(ownership.find_keep_reason, build.parent))
    held = _find_hold_reason(context, build, gone, len(before))
    if held and not objects:
        # An empty render is no wish.
        return ended(ReconcileResult(build, ReconcileOutcome(False, "PruneHeld", held), (), gone))
    if not context.should_write:
        changes = server_side_apply.plan_changes(there, order.split_stages(objects), _build_apply_policy(build, wanted))
        done = ReconcileResult(build, _build_outcome(changes, gone, held, context.revision), changes, gone)
        return PendingReconcile(done, there, live, before)
    try:
        live = _record_inventory(context, live, before, objects)
        done, taken = _apply_and_prune(context, there, build, objects, gone, held, _build_apply_policy(build, wanted))
    except ToolError as error:
        reason = ReconcileOutcome(False, "StatusFailed", f"nothing is applied that cannot be noted: {error}")
        return PendingReconcile(ReconcileResult(build, reason), there, live, before)
    now = status.merge_inventory(before, done.changes, taken)
    checks = readiness.select_checks(wanted, done.changes) if done.outcome.is_ready else []
    if not checks:
        return ended(done, now)
    return PendingReconcile(done, there, live, now, checks, wanted.timeout_seconds, began)


def _apply_and_prune(
    context: ReconcileContext,
    target: DynamicClient,
    build: ApplySet,
    objects: Sequence[Object],
    prune_plan: Sequence[PruneResult],
    hold_reason: str,
    policy: server_side_apply.ApplyPolicy,
) -> tuple[ReconcileResult, list[PruneResult] | None]:
    """Applies, and takes away; each step is noted before it is taken.

    Raises:
        Refusal: it cannot be noted.
    """

    def note(changes: Sequence[ObjectChange]) -> None:
        context.record_step(
            "apply", ReconcileResult(build, ReconcileOutcome(False, "Applying", context.revision), changes)
        )

    changes = server_side_apply.apply_stages(target, order.split_stages(objects), policy, note)
    failed = any(change.action == "failed" for change in changes)
    # Nothing is taken away while something did not come; and with `prune: false` it is nobody's any more.
    if failed or hold_reason:
        return ReconcileResult(build, _build_outcome(changes, (), hold_reason, context.revision), changes), None
    if any(one.action == "delete" for one in prune_plan):
        context.record_step(
            "delete", ReconcileResult(build, ReconcileOutcome(False, "Pruning", context.revision), (), prune_plan)
        )
    taken = server_side_apply.prune_objects(target, prune_plan, partial(ownership.find_keep_reason, build.parent))
    return ReconcileResult(build, _build_outcome(changes, taken, hold_reason, context.revision), changes, taken), taken


def _build_apply_policy(build: ApplySet, spec: KustomizationSpec) -> server_side_apply.ApplyPolicy:
    return partial(ownership.build_apply_options, bool(get_field(build.parent, ("spec", "force"))), spec.ignore_rules)


def finish_reconcile(context: ReconcileContext, pending: PendingReconcile, reason: str) -> ReconcileResult:
    """Tells of a Kustomization that was waited for.

    Args:
        reason: why it is not there; empty where it is.
    """
    done = pending.result
    if reason:
        done = done._replace(outcome=ReconcileOutcome(False, "HealthCheckFailed", reason))
    # What was written meanwhile, by whomever, is not written over.
    live = _get_live(context.cluster, done.build)
    return status_writer.write_result(context, live, done, pending.entries, pending.started_at, is_healthy=not reason)


def _decrypt_objects(context: ReconcileContext, build: ApplySet) -> list[Object]:
    """What is applied, in the clear; by the keys of the Secret that the Kustomization names.

    Raises:
        SealError: something is encrypted and cannot be opened.
    """
    sealed = [one for one in build.objects if decryption.is_encrypted(one)]
    if not sealed:
        return list(build.objects)
    name = get_field(build.parent, ("spec", "decryption", "secretRef", "name"))
    if not isinstance(name, str):
        entry = inventory.entry_of(sealed[0])
        raise SealError(f"{entry} is encrypted with SOPS: name the keys in `spec.decryption.secretRef`")
    held = secret_values.read_secret(context.cluster, build.name[0], name)
    if held is None:
        raise SealError(f"the Secret {build.name[0]}/{name} to decrypt with is not there")
    return decryption.decrypt_objects(build.objects, decryption.parse_keys(held), build.toolchain)


def _record_inventory(
    context: ReconcileContext, live: Object | None, previous: Sequence[InventoryEntry], objects: Sequence[Object]
) -> Object | None:
    """Notes what will be applied before it is: whoever is ended in between leaves nothing that nobody knows of."""
    known = {entry.id for entry in previous}
    new = [entry for entry in map(inventory.entry_of, objects) if entry.id not in known]
    kind = context.cluster.find_kind(live["apiVersion"], "Kustomization") if live is not None else None
    if live is None or kind is None or not new:
        return live
    return context.cluster.patch_status(kind, live, {"inventory": status.build_inventory([*previous, *new])})


def _find_hold_reason(context: ReconcileContext, build: ApplySet, prune_plan: Sequence[PruneResult], total: int) -> str:
    """Why what would go waits; empty where it may."""
    if context.approved_revision == context.revision:
        return ""
    leaving = [one.entry for one in prune_plan if one.action == "delete"]
    reason = prune_budget.find_excess(leaving, total, not build.objects, context.budget)
    return f"{reason}; approve it with --approve {context.revision}" if reason else ""


def find_refusal(verdict: Verdict, build: ApplySet) -> ReconcileOutcome | None:
    """Why nothing of a Kustomization is applied: the gate refuses it, or could not judge; None where it may be."""
    if build.render_error:
        return ReconcileOutcome(False, "BuildFailed", build.render_error)
    return gate_refusal.find_refusal(verdict, build.objects, [build.folder])


def _build_outcome(
    changes: Sequence[ObjectChange], prune_results: Sequence[PruneResult], hold_reason: str, revision: str
) -> ReconcileOutcome:
    failed = [f"{change}: {change.reason}" for change in changes if change.action == "failed"]
    if failed:
        return ReconcileOutcome(False, "ReconciliationFailed", "; ".join(failed))
    lost = [f"{one.entry}: {one.reason}" for one in prune_results if one.action == "failed"]
    if lost:
        return ReconcileOutcome(False, "PruneFailed", "; ".join(lost))
    if hold_reason:
        return ReconcileOutcome(False, "PruneHeld", hold_reason)
    return ReconcileOutcome(True, "ReconciliationSucceeded", f"Applied revision: {revision}")


def _get_live(cluster: DynamicClient, build: ApplySet) -> Object | None:
    """The Kustomization as it is in the cluster, which knows what was applied; None where it is not there."""
    kind = cluster.find_newest_kind(GROUP, VERSIONS, "Kustomization")
    return cluster.get(kind, *build.name) if kind else None
