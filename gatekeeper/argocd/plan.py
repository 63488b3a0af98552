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
from gatekeeper.named_tuple import NamedTuple

KEEP_REASONS = {"true": "", "false": "`Prune=false`", "confirm": "`Prune=confirm`: a user must confirm it"}


class PruneLimit(NamedTuple):
    """What a sync may prune.

    Attributes:
        approved_revision: a revision for which a prune beyond the budget is approved, in addition to that of the
            annotation in the cluster; empty for none.
    """

    budget: PruneBudget
    approved_revision: str = ""


def plan_application(
    cluster: DynamicClient,
    argocd_namespace: str,
    build: ApplicationBuild,
    verdict: Verdict,
    prune_limit: PruneLimit,
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
        # The Application in the cluster, unlike the one in Git, lists what was applied, and what is approved.
        live = _get_argocd_object(cluster, "Application", *build.application.key)
        compared = _compare(cluster, argocd_namespace, build, options, live)
        pruned = [_to_prune_result(item, options) for item in compared if item.should_prune]
    except (FieldError, SpecError, ToolError) as error:
        return ReconcileResult(apply_set, ReconcileOutcome(False, "ComparisonError", str(error)))
    changes = [item.change for item in compared if item.change is not None]
    approved = (prune_limit.approved_revision, prune_budget.read_approved_revision(live))
    budget = None if _is_approved(build, approved) else prune_limit.budget
    return ReconcileResult(apply_set, _decide_outcome(build, compared, pruned, budget), changes, pruned)


def _is_approved(build: ApplicationBuild, approved: Sequence[str]) -> bool:
    """Whether a user approved the revision, as `main@sha1:COMMIT` or, as the controller does, by the commit alone."""
    return any(name in approved for revision in build.revisions for name in (revision, revision.rpartition(":")[2]))


def to_apply_set(build: ApplicationBuild) -> ApplySet:
    """Return what an Application applies, as a result or an audit event refers to it."""
    folder = build.folders[0] if build.folders else ""
    return ApplySet(build.manifest, folder, build.objects, build.render_error)


def _compare(
    cluster: DynamicClient, argocd_namespace: str, build: ApplicationBuild, options: SyncOptions, live: Object | None
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
    build: ApplicationBuild,
    objects: Sequence[ComparedObject],
    pruned: Sequence[PruneResult],
    budget: PruneBudget | None,
) -> ReconcileOutcome:
    """What a sync would result in.

    Args:
        budget: limits the prune; None if it is approved.
    """
    failures = [f"{change}: {change.reason}" for change in list_failed(item.change for item in objects)]
    if failures:
        return ReconcileOutcome(False, "SyncError", "; ".join(failures))
    leaving = [result.entry for result in pruned if result.action == "delete"]
    live_count = sum(1 for item in objects if item.live is not None)
    excess = prune_budget.find_excess(leaving, live_count, not build.objects, budget) if budget else ""
    if excess:
        # The controller knows the revision of a repository as a commit.
        commits = " ".join(revision.rpartition(":")[2] for revision in build.revisions)
        return ReconcileOutcome(False, "PruneHeld", prune_budget.format_hold(excess, "Application", commits))
    is_out_of_sync = any(item.status == "OutOfSync" for item in objects)
    message = "a sync would change it" if is_out_of_sync else "up to date"
    if get_field(build.manifest, ("spec", "syncPolicy", "automated")) is None:
        message += "; not automatic: `syncPolicy.automated` is not set"
    return ReconcileOutcome(True, comparison.aggregate_sync_status(objects), message)
