"""What Argo CD Applications of a repository would change in a cluster, as its own controller would say it."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply import gate_refusal, model, prune_budget, server_side_apply
from gatekeeper.apply.model import Done, Outcome
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.apply.server_side_apply import Gone
from gatekeeper.argocd import application_spec, permissions, resource_tracking
from gatekeeper.argocd.model import Asked, Item
from gatekeeper.argocd.sync import comparison, sync_options
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import SealError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Verdict, at


def planned(cluster: Objects, home: str, asked: Asked, verdict: Verdict, limit: Budget) -> Done:
    """What a sync of an Application would do; nothing is written.

    Args:
        home: the namespace of Argo CD's own objects.
        limit: how much may be taken away.
    """
    folder = asked.folders[0] if asked.folders else ""
    about = model.Asked(asked.value, folder, asked.objects, asked.lost)
    refused = gate_refusal.refusal(verdict, asked.objects, asked.folders)
    if asked.lost or refused:
        return Done(about, refused or Outcome(False, "ComparisonError", asked.lost))
    try:
        return _compared(cluster, home, asked, about, limit)
    except (FieldError, SealError, ToolError) as error:
        return Done(about, Outcome(False, "ComparisonError", str(error)))


def _compared(cluster: Objects, home: str, asked: Asked, about: model.Asked, limit: Budget) -> Done:
    application = asked.application
    kind = cluster.newest(application_spec.GROUP, application_spec.VERSIONS, "AppProject")
    project = cluster.get(kind, home, application.project) if kind is not None else None
    let = permissions.permit(cluster, home, application, project)
    mark, app = resource_tracking.read(cluster, home), resource_tracking.instance(application, home)
    plain, _ = comparison.prepared(asked, let.there, let.project, mark, app)
    general = sync_options.read(application.options, "the Application")
    before = comparison.before(_live(cluster, application.key) or asked.value, ())
    items = comparison.compared(let.there, plain, before, comparison.how(asked, general), mark, app)
    changes = [one.change for one in items if one.change is not None]
    gone = [_gone(one, general) for one in items if one.goes]
    return Done(about, _outcome(asked, items, gone, limit), changes, gone)


def _live(cluster: Objects, name: tuple[str, str]) -> Object | None:
    """The Application as it is in the cluster, which knows what was applied."""
    kind = cluster.newest(application_spec.GROUP, application_spec.VERSIONS, "Application")
    return cluster.get(kind, *name) if kind is not None else None


def _gone(one: Item, general: Options) -> Gone:
    held = general.of(one.live or {}).get("Prune") if one.live else "true"
    reason = {"true": "", "false": "`Prune=false`", "confirm": "it waits until somebody confirms it"}[held]
    return Gone(one.entry, "keep" if reason else "delete", reason)


def _outcome(asked: Asked, items: Sequence[Item], gone: Sequence[Gone], limit: Budget) -> Outcome:
    failed = [f"{one}: {one.reason}" for one in server_side_apply.failed(item.change for item in items)]
    if failed:
        return Outcome(False, "SyncError", "; ".join(failed))
    leaving = [one.entry for one in gone if one.action == "delete"]
    before = sum(1 for one in items if one.live is not None)
    held = prune_budget.excess(leaving, before, not asked.objects, limit)
    if held:
        return Outcome(False, "PruneHeld", held)
    words = "it would be synced" if any(one.status == "OutOfSync" for one in items) else "it is as it shall be"
    if at(asked.value, ("spec", "syncPolicy", "automated")) is None:
        words += "; not by itself: it has no `syncPolicy.automated`"
    return Outcome(True, comparison.status_of(items), words)
