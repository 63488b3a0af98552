"""One round of reconciling: each Kustomization after those that it depends on, and beside the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gatekeeper.apply.model import (
    ApplySet,
    ParentName,
    ReconcileContext,
    ReconcileOutcome,
    ReconcileResult,
)
from gatekeeper.flux import reconciler
from gatekeeper.flux.model import list_dependencies

# So many Kustomizations at a time.
MAX_WORKERS = 8


def reconcile_all(
    context: ReconcileContext, builds: Sequence[ApplySet], on_result: Callable[[ReconcileResult], None]
) -> list[ReconcileResult]:
    """Each Kustomization after those that it depends on, and beside the others; what depends on one not ready waits."""
    done: dict[ParentName, ReconcileResult] = {}
    left = list(builds)
    while left:
        names = {one.name for one in left}
        # In a circle nobody can be first; each is found not ready then.
        able = [one for one in left if not names & set(list_dependencies(one))] or left
        with ThreadPoolExecutor(MAX_WORKERS) as pool:
            for one in pool.map(partial(_reconcile_if_ready, context, done, names), able):
                done[one.build.name] = one
                on_result(one)
        left = [one for one in left if one.name not in done]
    return list(done.values())


def _reconcile_if_ready(
    context: ReconcileContext,
    results: Mapping[ParentName, ReconcileResult],
    waiting: set[ParentName],
    build: ApplySet,
) -> ReconcileResult:
    for name in list_dependencies(build):
        if name in waiting or (name in results and not results[name].outcome.is_ready):
            message = f"dependency '{'/'.join(name)}' is not ready"
            return ReconcileResult(build, ReconcileOutcome(False, "DependencyNotReady", message))
    late = reconciler.find_unready_dependency(context, build)
    if late:
        return ReconcileResult(build, ReconcileOutcome(False, "DependencyNotReady", late))
    return reconciler.reconcile(context, build)
