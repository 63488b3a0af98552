"""Reconcile plan of an Application: what a sync would change, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply import gate_refusal, prune_budget
from gatekeeper.apply.changes import list_failed
from gatekeeper.apply.model import ApplySet, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import permissions, resource_tracking
from gatekeeper.argocd.application_spec import GROUP, VERSIONS
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject
from gatekeeper.argocd.resource_tracking import ComparisonTarget
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import SyncOptions, parse_sync_options
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Object, Verdict, get_field

KEEP_REASONS = {"true": "", "false": "`Prune=false`", "confirm": "`Prune=confirm`: a user must confirm it"}


def plan_application(
    cluster: DynamicClient, argocd_namespace: str, build: ApplicationBuild, verdict: Verdict, budget: PruneBudget
) -> ReconcileResult:
    """Plan the sync of an Application.

    Args:
        argocd_namespace: namespace of Argo CD's own objects.
        verdict: on the sources of the Application.
    """
    apply_set = to_apply_set(build)
    refusal = gate_refusal.find_refusal(verdict, build.objects, build.folders)
    if build.render_error or refusal:
        return ReconcileResult(apply_set, refusal or ReconcileOutcome(False, "ComparisonError", build.render_error))
    try:
        options = parse_sync_options(build.application.sync_options, "the Application")
        compared = _compare(cluster, argocd_namespace, build, options)
        pruned = [_to_prune_result(item, options) for item in compared if item.should_prune]
    except (FieldError, SpecError, ToolError) as error:
        return ReconcileResult(apply_set, ReconcileOutcome(False, "ComparisonError", str(error)))
    changes = [item.change for item in compared if item.change is not None]
    return ReconcileResult(apply_set, _decide_outcome(build, compared, pruned, budget), changes, pruned)


def to_apply_set(build: ApplicationBuild) -> ApplySet:
    """Return what an Application applies, as a result or an audit event refers to it."""
    folder = build.folders[0] if build.folders else ""
    return ApplySet(build.manifest, folder, build.objects, build.render_error)


def _compare(
    cluster: DynamicClient, argocd_namespace: str, build: ApplicationBuild, options: SyncOptions
) -> list[ComparedObject]:
    application = build.application
    project = _get_argocd_object(cluster, "AppProject", argocd_namespace, application.project)
    permitted = permissions.resolve_permissions(cluster, argocd_namespace, application, project)
    target = ComparisonTarget(
        permitted.target,
        resource_tracking.read_tracking_settings(cluster, argocd_namespace),
        resource_tracking.format_instance_name(application, argocd_namespace),
    )
    desired = comparison.prepare_objects(build, target, permitted.project)
    # The Application in the cluster, unlike the one in Git, lists what was applied.
    live = _get_argocd_object(cluster, "Application", *application.key)
    previous = comparison.list_tracked_entries(live or build.manifest, ())
    policy = comparison.build_apply_policy(build, options)
    return comparison.compare_objects(target, desired.resources, previous, policy)


def _get_argocd_object(cluster: DynamicClient, kind_name: str, namespace: str, name: str) -> Object | None:
    kind = cluster.find_newest_kind(GROUP, VERSIONS, kind_name)
    return cluster.get(kind, namespace, name) if kind is not None else None


def _to_prune_result(compared: ComparedObject, options: SyncOptions) -> PruneResult:
    option = options.for_object(compared.live).get("Prune") if compared.live else "true"
    reason = KEEP_REASONS[option]
    return PruneResult(compared.entry, "keep" if reason else "delete", reason)


def _decide_outcome(
    build: ApplicationBuild, objects: Sequence[ComparedObject], pruned: Sequence[PruneResult], budget: PruneBudget
) -> ReconcileOutcome:
    failures = [f"{change}: {change.reason}" for change in list_failed(item.change for item in objects)]
    if failures:
        return ReconcileOutcome(False, "SyncError", "; ".join(failures))
    leaving = [result.entry for result in pruned if result.action == "delete"]
    live_count = sum(1 for item in objects if item.live is not None)
    excess = prune_budget.find_excess(leaving, live_count, not build.objects, budget)
    if excess:
        return ReconcileOutcome(False, "PruneHeld", excess)
    is_out_of_sync = any(item.status == "OutOfSync" for item in objects)
    message = "a sync would change it" if is_out_of_sync else "up to date"
    if get_field(build.manifest, ("spec", "syncPolicy", "automated")) is None:
        message += "; not automatic: `syncPolicy.automated` is not set"
    return ReconcileOutcome(True, comparison.aggregate_sync_status(objects), message)
