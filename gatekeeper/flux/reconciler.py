"""Reconciles one Flux Kustomization after its verdict: decrypts, applies, prunes, waits, and writes its status.

Source: kustomize-controller `internal/controller/kustomization_controller.go`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gatekeeper.apply import gate_refusal, inventory, order, prune, prune_budget, server_side_apply
from gatekeeper.apply.changes import ApplyPolicy, ObjectChange, list_failed
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.cluster import object_status, secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import SecretFileError, SpecError, ToolError
from gatekeeper.flux import (
    apply_options,
    decryption,
    dependencies,
    kustomization_spec,
    ownership,
    readiness,
    status,
    status_writer,
    target_cluster,
)
from gatekeeper.flux.kustomization_spec import KustomizationSpec
from gatekeeper.flux.model import Applied, BegunReconcile, Held, Planned, Refused, Waiting
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Object, Verdict, get_field
from gatekeeper.named_tuple import NamedTuple

# The reason of a Kustomization that its `suspend` excludes.
SUSPENDED = "Suspended"


def reconcile(context: ReconcileContext, build: ApplySet) -> ReconcileResult:
    """Applies a Kustomization if the gate accepts it, and waits until it is healthy."""
    begun = begin_reconcile(context, build)
    if not isinstance(begun, Waiting):
        return begun.result
    reason = readiness.wait_until_ready(begun.target, begun.checks, begun.timeout_seconds, context.stop_event)
    return finish_reconcile(context, begun, reason)


def begin_reconcile(context: ReconcileContext, build: ApplySet) -> BegunReconcile:
    """Applies a Kustomization if the gate accepts it, without waiting for its health.

    The status is written, except in a dry run, and where the steps cannot be recorded. A Kustomization that is
    `Waiting` has none yet: see `finish_reconcile`.
    """
    if get_field(build.parent, ("spec", "suspend")):
        return Refused(
            ReconcileResult(build, ReconcileOutcome.ready(SUSPENDED, "suspended: nothing is done")), None, ()
        )
    attempt = _Attempt(context, build, time.time())
    live = dependencies.get_kustomization(context.cluster, build.name)
    try:
        begun = _begin_attempt(attempt, live)
    except ToolError as error:
        message = f"nothing is applied, because the inventory could not be written to the status: {error}"
        outcome = ReconcileOutcome.failed("StatusFailed", message)
        result = status_writer.mask_result(ReconcileResult(build, outcome))
        return Refused(result, live, inventory.read_inventory(live))
    if isinstance(begun, Waiting):
        return begun
    return replace(
        begun, result=status_writer.write_result(context, begun.live, begun.result, begun.entries, attempt.started_at)
    )


def finish_reconcile(context: ReconcileContext, waiting: Waiting, reason: str) -> ReconcileResult:
    """Writes the status of a Kustomization after the wait for its health.

    Args:
        reason: why it is not healthy; empty if it is.
    """
    result = waiting.result
    if reason:
        result = result._replace(outcome=ReconcileOutcome.failed("HealthCheckFailed", reason))
    # Another client may have changed the Kustomization during the wait.
    live = dependencies.get_kustomization(context.cluster, result.build.name)
    return status_writer.write_result(context, live, result, waiting.entries, waiting.started_at, is_healthy=not reason)


class _Attempt(NamedTuple):
    """The input of one reconcile."""

    context: ReconcileContext
    build: ApplySet
    started_at: float

    def result(
        self, outcome: ReconcileOutcome, changes: Sequence[ObjectChange] = (), pruned: Sequence[PruneResult] = ()
    ) -> ReconcileResult:
        return ReconcileResult(self.build, outcome, changes, pruned)


class _Prepared(NamedTuple):
    """A Kustomization that is ready to be applied.

    Attributes:
        objects: decrypted, with the labels of their owner.
        target: the cluster that is applied to, with the rights that count there.
    """

    spec: KustomizationSpec
    objects: list[Object]
    target: DynamicClient
    prune_plan: list[PruneResult]
    hold_reason: str
    policy: ApplyPolicy


def _begin_attempt(attempt: _Attempt, live: Object | None) -> BegunReconcile:
    """Applies a Kustomization if the gate accepts it.

    Raises:
        ToolError: a step cannot be recorded.
    """
    context, build = attempt.context, attempt.build
    previous = inventory.read_inventory(live)
    refusal = find_refusal(context.verdict, build)
    if refusal is not None:
        return Refused(attempt.result(refusal), live, previous)
    try:
        prepared = _prepare(context, build, live)
    except (FieldError, SecretFileError, SpecError, ToolError) as error:
        return Refused(attempt.result(ReconcileOutcome.failed("BuildFailed", str(error))), live, previous)
    if prepared.hold_reason and not prepared.objects:
        # An empty render never means: delete everything.
        outcome = ReconcileOutcome.failed("PruneHeld", prepared.hold_reason)
        return Held(attempt.result(outcome, (), prepared.prune_plan), live, previous)
    if not context.should_write:
        return Planned(_plan(attempt, prepared), live, previous)
    live = _record_inventory(context, live, previous, prepared.objects)
    return _apply_and_prune(attempt, prepared, live, previous)


def _prepare(context: ReconcileContext, build: ApplySet, live: Object | None) -> _Prepared:
    """Parses, decrypts and labels, and plans what is pruned.

    Raises:
        FieldError, SpecError, SecretFileError, ToolError: it cannot be built, decrypted, or reach its cluster.
    """
    spec = kustomization_spec.parse_kustomization_spec(build.parent)
    kustomization_spec.require_variables(build.objects, build.parent)
    objects = ownership.add_owner_labels(_decrypt_objects(context, build), build.parent)
    target = target_cluster.resolve_cluster(context.cluster, build.name.namespace, spec)
    previous = inventory.read_inventory(live)
    is_pruning = bool(get_field(build.parent, ("spec", "prune")))
    removed = inventory.sort_for_prune(inventory.list_removed(previous, objects)) if is_pruning else []
    prune_plan = prune.plan_prune(target, removed, partial(ownership.find_keep_reason, build.parent))
    is_forced = bool(get_field(build.parent, ("spec", "force")))
    policy = partial(apply_options.build_apply_options, is_forced, spec.ignore_rules)
    is_approved = context.revision in (context.approved_revision, prune_budget.read_approved_revision(live))
    hold_reason = "" if is_approved else _find_hold_reason(context, build, prune_plan, len(previous))
    return _Prepared(
        spec=spec, objects=objects, target=target, prune_plan=prune_plan, hold_reason=hold_reason, policy=policy
    )


def _plan(attempt: _Attempt, prepared: _Prepared) -> ReconcileResult:
    stages = order.split_stages(prepared.objects)
    changes = server_side_apply.plan_changes(prepared.target, stages, prepared.policy)
    outcome = _build_outcome(changes, prepared.prune_plan, prepared.hold_reason, attempt.context.revision)
    return attempt.result(outcome, changes, prepared.prune_plan)


def _apply_and_prune(
    attempt: _Attempt, prepared: _Prepared, live: Object | None, previous: Sequence[InventoryEntry]
) -> BegunReconcile:
    """Applies and prunes; each step is recorded before it is taken.

    Raises:
        ToolError: a step cannot be recorded.
    """
    context, build = attempt.context, attempt.build
    stages = order.split_stages(prepared.objects)
    changes = server_side_apply.apply_stages(
        prepared.target, stages, prepared.policy, partial(_record_changes, attempt)
    )
    pruned: list[PruneResult] | None = None
    # Nothing is pruned while an object could not be applied.
    if not list_failed(changes) and not prepared.hold_reason:
        if any(planned.action == "delete" for planned in prepared.prune_plan):
            outcome = ReconcileOutcome.failed("Pruning", context.revision)
            context.record_step("delete", attempt.result(outcome, (), prepared.prune_plan))
        keep_reason = partial(ownership.find_keep_reason, build.parent)
        pruned = prune.prune_objects(prepared.target, prepared.prune_plan, keep_reason)
    outcome = _build_outcome(changes, pruned or (), prepared.hold_reason, context.revision)
    result, entries = attempt.result(outcome, changes, pruned or ()), status.merge_inventory(previous, changes, pruned)
    if not outcome.is_ready:
        return (Held if prepared.hold_reason else Applied)(result, live, entries)
    checks = readiness.select_checks(prepared.spec, changes)
    if not checks:
        return Applied(result, live, entries)
    timeout = prepared.spec.timeout_seconds
    return Waiting(
        result=result,
        live=live,
        entries=entries,
        target=prepared.target,
        checks=checks,
        timeout_seconds=timeout,
        started_at=attempt.started_at,
    )


def _record_changes(attempt: _Attempt, changes: Sequence[ObjectChange]) -> None:
    outcome = ReconcileOutcome.failed("Applying", attempt.context.revision)
    attempt.context.record_step("apply", attempt.result(outcome, changes))


def _decrypt_objects(context: ReconcileContext, build: ApplySet) -> list[Object]:
    """The objects, decrypted with the keys of the Secret that the Kustomization names.

    Raises:
        SecretFileError: an object is encrypted and cannot be decrypted.
        ToolError: the cluster refuses, or does not answer.
    """
    encrypted = [value for value in build.objects if decryption.is_encrypted(value)]
    if not encrypted:
        return list(build.objects)
    name = get_field(build.parent, ("spec", "decryption", "secretRef", "name"))
    if not isinstance(name, str):
        entry = inventory.entry_of(encrypted[0])
        raise SecretFileError(
            f"{entry} is encrypted with SOPS: name the Secret with the keys in `spec.decryption.secretRef`"
        )
    keys = secrets.read_secret(context.cluster, build.name.namespace, name)
    if keys is None:
        raise SecretFileError(
            f"decryption Secret {build.name.namespace}/{name} not found: create it with the private keys"
        )
    return decryption.decrypt_objects(build.objects, decryption.parse_keys(keys), build.toolchain)


def _record_inventory(
    context: ReconcileContext, live: Object | None, previous: Sequence[InventoryEntry], objects: Sequence[Object]
) -> Object | None:
    """Adds new objects to the inventory before they are applied, so that a crash in between does not lose them."""
    known = {entry.id for entry in previous}
    new = [entry for entry in map(inventory.entry_of, objects) if entry.id not in known]
    if live is None or not new:
        return live
    return object_status.write_status(context.cluster, live, {"inventory": status.build_inventory([*previous, *new])})


def _find_hold_reason(context: ReconcileContext, build: ApplySet, prune_plan: Sequence[PruneResult], total: int) -> str:
    """Why the prune waits for approval; empty if it is within the budget."""
    deleted = [planned.entry for planned in prune_plan if planned.action == "delete"]
    reason = prune_budget.find_excess(deleted, total, not build.objects, context.budget)
    return prune_budget.format_hold(reason, dependencies.KIND, context.revision)


def find_refusal(verdict: Verdict, build: ApplySet) -> ReconcileOutcome | None:
    """Why nothing of a Kustomization is applied: a render error, or the gate; None if it may be."""
    if build.render_error:
        return ReconcileOutcome.failed("BuildFailed", build.render_error)
    return gate_refusal.find_refusal(verdict, build.objects, [build.folder])


def _build_outcome(
    changes: Sequence[ObjectChange], pruned: Sequence[PruneResult], hold_reason: str, revision: str
) -> ReconcileOutcome:
    failed = [f"{change}: {change.reason}" for change in list_failed(changes)]
    if failed:
        return ReconcileOutcome.failed("ReconciliationFailed", "; ".join(failed))
    not_pruned = [f"{result.entry}: {result.reason}" for result in pruned if result.action == "failed"]
    if not_pruned:
        return ReconcileOutcome.failed("PruneFailed", "; ".join(not_pruned))
    if hold_reason:
        return ReconcileOutcome.failed("PruneHeld", hold_reason)
    return ReconcileOutcome.ready("ReconciliationSucceeded", f"Applied revision: {revision}")
