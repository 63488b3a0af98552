"""What Argo CD Applications of a repository would change in a cluster, as its own controller would say it."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply import gate_refusal, model, prune_budget
from gatekeeper.apply.changes import list_failed
from gatekeeper.apply.model import ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import application_spec, permissions, resource_tracking
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject
from gatekeeper.argocd.sync import comparison, sync_options
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import Verdict, get_field


def plan_application(
    cluster: DynamicClient, argocd_namespace: str, build: ApplicationBuild, verdict: Verdict, limit: PruneBudget
) -> ReconcileResult:
    """What a sync of an Application would do; nothing is written.

    Args:
        argocd_namespace: the namespace of Argo CD's own objects.
        limit: how much may be taken away.
    """
    folder = build.folders[0] if build.folders else ""
    about = model.ApplySet(build.manifest, folder, build.objects, build.render_error)
    refused = gate_refusal.find_refusal(verdict, build.objects, build.folders)
    if build.render_error or refused:
        return ReconcileResult(about, refused or ReconcileOutcome(False, "ComparisonError", build.render_error))
    try:
        return _plan_sync(cluster, argocd_namespace, build, about, limit)
    except (FieldError, SpecError, ToolError) as error:
        return ReconcileResult(about, ReconcileOutcome(False, "ComparisonError", str(error)))


def _plan_sync(
    cluster: DynamicClient,
    argocd_namespace: str,
    build: ApplicationBuild,
    subject: model.ApplySet,
    limit: PruneBudget,
) -> ReconcileResult:
    application = build.application
    kind = cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "AppProject")
    project = cluster.get(kind, argocd_namespace, application.project) if kind is not None else None
    let = permissions.resolve_permissions(cluster, argocd_namespace, application, project)
    mark, app = (
        resource_tracking.read_tracking_settings(cluster, argocd_namespace),
        resource_tracking.format_instance_name(application, argocd_namespace),
    )
    plain, _ = comparison.prepare_objects(build, let.target, let.project, mark, app)
    general = sync_options.parse_sync_options(application.sync_options, "the Application")
    before = comparison.list_tracked_entries(_get_live(cluster, application.key) or build.manifest, ())
    items = comparison.compare_objects(
        let.target, plain, before, comparison.build_apply_policy(build, general), mark, app
    )
    changes = [one.change for one in items if one.change is not None]
    gone = [_to_prune_result(one, general) for one in items if one.should_prune]
    return ReconcileResult(subject, _build_outcome(build, items, gone, limit), changes, gone)


def _get_live(cluster: DynamicClient, name: NamespacedName) -> Object | None:
    """The Application as it is in the cluster, which knows what was applied."""
    kind = cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
    return cluster.get(kind, *name) if kind is not None else None


def _to_prune_result(item: ComparedObject, application_options: SyncOptions) -> PruneResult:
    held = application_options.for_object(item.live or {}).get("Prune") if item.live else "true"
    reason = {"true": "", "false": "`Prune=false`", "confirm": "it waits until somebody confirms it"}[held]
    return PruneResult(item.entry, "keep" if reason else "delete", reason)


def _build_outcome(
    build: ApplicationBuild, objects: Sequence[ComparedObject], pruned: Sequence[PruneResult], limit: PruneBudget
) -> ReconcileOutcome:
    failed = [f"{one}: {one.reason}" for one in list_failed(item.change for item in objects)]
    if failed:
        return ReconcileOutcome(False, "SyncError", "; ".join(failed))
    leaving = [one.entry for one in pruned if one.action == "delete"]
    before = sum(1 for one in objects if one.live is not None)
    held = prune_budget.find_excess(leaving, before, not build.objects, limit)
    if held:
        return ReconcileOutcome(False, "PruneHeld", held)
    words = "it would be synced" if any(one.status == "OutOfSync" for one in objects) else "it is as it shall be"
    if get_field(build.manifest, ("spec", "syncPolicy", "automated")) is None:
        words += "; not by itself: it has no `syncPolicy.automated`"
    return ReconcileOutcome(True, comparison.aggregate_sync_status(objects), words)
