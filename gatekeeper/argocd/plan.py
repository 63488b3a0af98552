"""What Argo CD Applications of a repository would change in a cluster, as its own controller would say it."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.applications import comparing, options, permitting, reading, tracking
from gatekeeper.applications.model import Asked, Item
from gatekeeper.applications.options import Options
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.errors import SealError, ToolError
from gatekeeper.fields import FieldError
from gatekeeper.model import Verdict, at
from gatekeeper.reconciling import applying, budget, model, refusing
from gatekeeper.reconciling.applying import Gone
from gatekeeper.reconciling.budget import Budget
from gatekeeper.reconciling.model import Done
from gatekeeper.reconciling.outcomes import Outcome


def planned(cluster: Objects, home: str, asked: Asked, verdict: Verdict, limit: Budget) -> Done:
    """What a sync of an Application would do; nothing is written.

    Args:
        home: the namespace of Argo CD's own objects.
        limit: how much may be taken away.
    """
    folder = asked.folders[0] if asked.folders else ""
    about = model.Asked(asked.value, folder, asked.objects, asked.lost)
    refused = refusing.refusal(verdict, asked.objects, asked.folders)
    if asked.lost or refused:
        return Done(about, refused or Outcome(False, "ComparisonError", asked.lost))
    try:
        return _compared(cluster, home, asked, about, limit)
    except (FieldError, SealError, ToolError) as error:
        return Done(about, Outcome(False, "ComparisonError", str(error)))


def _compared(cluster: Objects, home: str, asked: Asked, about: model.Asked, limit: Budget) -> Done:
    application = asked.application
    kind = cluster.newest(reading.GROUP, reading.VERSIONS, "AppProject")
    project = cluster.get(kind, home, application.project) if kind is not None else None
    let = permitting.permit(cluster, home, application, project)
    mark, app = tracking.read(cluster, home), tracking.instance(application, home)
    plain, _ = comparing.prepared(asked, let.there, let.project, mark, app)
    general = options.read(application.options, "the Application")
    before = comparing.before(_live(cluster, application.key) or asked.value, ())
    items = comparing.compared(let.there, plain, before, comparing.how(asked, general), mark, app)
    changes = [one.change for one in items if one.change is not None]
    gone = [_gone(one, general) for one in items if one.goes]
    return Done(about, _outcome(asked, items, gone, limit), changes, gone)


def _live(cluster: Objects, name: tuple[str, str]) -> Object | None:
    """The Application as it is in the cluster, which knows what was applied."""
    kind = cluster.newest(reading.GROUP, reading.VERSIONS, "Application")
    return cluster.get(kind, *name) if kind is not None else None


def _gone(one: Item, general: Options) -> Gone:
    held = general.of(one.live or {}).get("Prune") if one.live else "true"
    reason = {"true": "", "false": "`Prune=false`", "confirm": "it waits until somebody confirms it"}[held]
    return Gone(one.entry, "keep" if reason else "delete", reason)


def _outcome(asked: Asked, items: Sequence[Item], gone: Sequence[Gone], limit: Budget) -> Outcome:
    failed = [f"{one}: {one.reason}" for one in applying.failed(item.change for item in items)]
    if failed:
        return Outcome(False, "SyncError", "; ".join(failed))
    leaving = [one.entry for one in gone if one.action == "delete"]
    before = sum(1 for one in items if one.live is not None)
    held = budget.excess(leaving, before, not asked.objects, limit)
    if held:
        return Outcome(False, "PruneHeld", held)
    words = "it would be synced" if any(one.status == "OutOfSync" for one in items) else "it is as it shall be"
    if at(asked.value, ("spec", "syncPolicy", "automated")) is None:
        words += "; not by itself: it has no `syncPolicy.automated`"
    return Outcome(True, comparing.status_of(items), words)
