"""What becomes of what an Application has applied when it is deleted itself: it goes, what came last first.

Source: argo-cd `docs/user-guide/app_deletion.md`, `controller/appcontroller.go` (`finalizeApplicationDeletion`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Act, Asked, Done, Outcome
from gatekeeper.argocd import app_project, application_spec, destination, resource_tracking
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.sync import comparison, sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.cluster.dynamic_client import Object, Objects, Propagation
from gatekeeper.controller.argocd import delete_hooks, status_writer
from gatekeeper.controller.argocd.context import Case, Place
from gatekeeper.controller.argocd.sync_plan import is_confirmed
from gatekeeper.errors import SealError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import at

FINALIZER = "resources-finalizer.argocd.argoproj.io"
HOW: dict[str, Propagation] = {
    FINALIZER: "Foreground", f"{FINALIZER}/foreground": "Foreground", f"{FINALIZER}/background": "Background",
}  # fmt: skip
PAUSE = 1.0


def deleted(
    place: Place,
    value: Object,
    project: Callable[[tuple[str, str]], Object | None],
    known: Callable[[str], list[Entry]],
    case: Case | None,
) -> float | None:
    """Takes away what an Application has applied, wave by wave, if it has a finalizer that says so; and lets it go.

    Args:
        known: what is marked as an Application's in the cluster.
        case: all that counts for it, where hooks of it are to run; else None.

    Returns:
        In how many seconds it is to be looked at again; None when it is let go, or waits for somebody.

    Raises:
        ToolError: the cluster does not do it.
    """
    held = [str(one) for one in at(value, ("metadata", "finalizers")) or ()]
    mine = [one for one in held if one in HOW]
    try:
        left = _hooks(place, value, case, delete_hooks.BEFORE)
        if left is None and mine:
            left = _left(place, value, project, known, HOW[mine[0]])
        if left is None:
            value = _without(place, value, mine)
            left = _hooks(place, value, case, delete_hooks.AFTER)
    except (FieldError, SealError, ToolError) as error:
        last = (mine or held or [""])[0]
        _tell(place, value, f"cannot be finished: {error}; mend it, or take its finalizer {last} off")
        raise ToolError(str(error)) from None
    return left or None


def _hooks(place: Place, value: Object, case: Case | None, hook: str) -> float | None:
    """Goes on with the hooks of a kind; None when all are done, and their finalizers gone."""
    name = delete_hooks.FINALIZERS[hook]
    held = at(value, ("metadata", "finalizers")) or ()
    if case is None or not {name, f"{name}{delete_hooks.CLEANUP}"} & set(held):
        return None
    if name in held:
        left = delete_hooks.run(case, hook)
        if left is not None:
            return left
        _without(place, value, [name])
        # What was written is read again.
        return PAUSE
    delete_hooks.clean(case, hook)
    _without(place, value, [f"{name}{delete_hooks.CLEANUP}"])
    return PAUSE


def _without(place: Place, value: Object, names: Sequence[str]) -> Object:
    """An Application without some finalizers; as it is then."""
    held = at(value, ("metadata", "finalizers")) or []
    kind = place.cluster.newest(application_spec.GROUP, application_spec.VERSIONS, "Application")
    left = [one for one in held if one not in names]
    if kind is None or left == held:
        return value
    return place.cluster.patch(kind, value, {"metadata": {"finalizers": left}})


def _left(
    place: Place,
    value: Object,
    project: Callable[[tuple[str, str]], Object | None],
    known: Callable[[str], list[Entry]],
    propagation: Propagation,
) -> float | None:
    """Takes away one wave; in how many seconds to look again (0: when somebody confirms it), None when all is gone."""
    application = application_spec.read(value)
    owner = project((place.home, application.project))
    there = destination.there(place.cluster, place.home, application.destination, application.project)
    user = app_project.account(owner, there.destination) if owner is not None else ""
    cluster = there.cluster.acting(user) if user else there.cluster
    mark, app = place.mark, resource_tracking.instance(application, place.home)
    general = sync_options.read(application.options, "the Application")
    entries = comparison.before(value, known(app) if there.is_here else ())
    living = [(entry, live) for entry in entries if (live := comparison.got(cluster, entry)) is not None]
    living = [(entry, live) for entry, live in living if resource_tracking.owner(mark, live) == app]
    waits = [(entry, live) for entry, live in living if _waits(value, general, live)]
    going = [(entry, live) for entry, live in living if general.of(live).get("Delete") != "false"]
    if waits:
        _tell(place, value, f"{waits[0][0]} waits until somebody confirms that it goes (`Delete=confirm`)")
        return 0.0
    if not going:
        return None
    _take(place, value, application, cluster, going, propagation)
    return PAUSE


def _take(
    place: Place,
    value: Object,
    application: Application,
    cluster: Objects,
    going: Sequence[tuple[Entry, Object]],
    propagation: Propagation,
) -> None:
    wave = max(sync_tasks.wave_of(live) for _, live in going)
    order = sync_tasks.ordered(
        sync_tasks.Task("Sync", 0, entry, "", None)
        for entry, live in going
        if sync_tasks.wave_of(live) == wave and not at(live, ("metadata", "deletionTimestamp"))
    )
    gone = server_side_apply.to_go(cluster, [task.entry for task in order], lambda live: "")
    if any(one.action == "delete" for one in gone):
        outcome = Outcome(False, "Pruning", f"the Application {application.name} is deleted")
        place.note(Act("delete", Done(Asked(value, "", ()), outcome, (), gone)))
    failed = [
        one for one in server_side_apply.taken(cluster, gone, lambda live: "", propagation) if one.action == "failed"
    ]
    if failed:
        raise ToolError("; ".join(f"{one.entry}: {one.reason}" for one in failed))


def _waits(value: Object, general: Options, live: Object) -> bool:
    return general.of(live).get("Delete") == "confirm" and not is_confirmed(value, 0.0)


def _tell(place: Place, value: Object, message: str) -> None:
    now = time.time()
    status = {"conditions": argocd_status.conditions(value, {"DeletionError": message}, now)}
    status_writer.write(place.cluster, value, status, now)
