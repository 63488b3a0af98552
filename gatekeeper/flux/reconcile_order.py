"""Reconciles the Kustomizations of a repository once: each after its dependencies, independent ones in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gatekeeper.apply.model import ApplySet, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.flux import dependencies, reconciler
from gatekeeper.model import NamespacedName

# Kustomizations that are reconciled at the same time.
MAX_WORKERS = 8


def reconcile_all(
    context: ReconcileContext, builds: Sequence[ApplySet], on_result: Callable[[ReconcileResult], None]
) -> list[ReconcileResult]:
    """Reconciles each Kustomization after its dependencies; one whose dependency is not ready is not applied."""
    results: dict[NamespacedName, ReconcileResult] = {}
    remaining = list(builds)
    while remaining:
        names = {build.name for build in remaining}
        # In a dependency cycle none can be first: each of them is then found to be not ready.
        next_builds = [build for build in remaining if names.isdisjoint(_list_dependency_names(build))] or remaining
        with ThreadPoolExecutor(MAX_WORKERS) as pool:
            for result in pool.map(partial(_reconcile_if_ready, context, results, names), next_builds):
                results[result.build.name] = result
                on_result(result)
        remaining = [build for build in remaining if build.name not in results]
    return list(results.values())


def _list_dependency_names(build: ApplySet) -> list[NamespacedName]:
    return [dependency.name for dependency in dependencies.list_dependencies(build.parent)]


def _reconcile_if_ready(
    context: ReconcileContext,
    results: Mapping[NamespacedName, ReconcileResult],
    remaining: set[NamespacedName],
    build: ApplySet,
) -> ReconcileResult:
    reason = _find_unready_dependency(context, results, remaining, build)
    return _report_unready(build, reason) if reason else reconciler.reconcile(context, build)


def _find_unready_dependency(
    context: ReconcileContext,
    results: Mapping[NamespacedName, ReconcileResult],
    remaining: set[NamespacedName],
    build: ApplySet,
) -> str:
    """Which dependency is not ready, and why; empty if all are.

    The result of this run counts for a dependency that it reconciles, and the state in the cluster for any other.
    """
    # A plan applies no revision: a dependency need not have the one that is planned.
    revision = context.revision if context.should_write else ""
    for dependency in dependencies.list_dependencies(build.parent):
        name, result = dependency.name, results.get(dependency.name)
        if name in remaining or (result is not None and not result.outcome.is_ready):
            return f"dependency '{name}' is not ready"
        is_in_cluster_only = result is None or result.outcome.reason == reconciler.SUSPENDED
        if is_in_cluster_only and not dependency.ready_expression:
            other = dependencies.get_kustomization(context.cluster, name)
            reason = dependencies.find_unready_reason(build.parent, dependency, other, revision)
            if reason:
                return reason
    return dependencies.find_unready_expression(context.cluster, build.parent)


def _report_unready(build: ApplySet, reason: str) -> ReconcileResult:
    return ReconcileResult(build, ReconcileOutcome.failed("DependencyNotReady", reason))
