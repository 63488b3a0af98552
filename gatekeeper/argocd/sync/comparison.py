"""What an Application wants, held against what is there: by a dry run of applying, as the cluster itself says.

Source: argo-cd `docs/user-guide/{diffing,diff-strategies}.md`, `controller/state.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.apply.server_side_apply import ADOPTED, Change, Manner
from gatekeeper.argocd import app_project, resource_tracking
from gatekeeper.argocd.destination import There
from gatekeeper.argocd.health import builtin, resource_health
from gatekeeper.argocd.health.builtin import Health
from gatekeeper.argocd.health.resource_health import Scripts
from gatekeeper.argocd.model import Asked, Item, Result, Status
from gatekeeper.argocd.resource_tracking import Tracking
from gatekeeper.argocd.sync import ignore_differences, sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import SealError
from gatekeeper.model import at


def prepared(
    asked: Asked, there: There, project: Object, mark: Tracking, app: str
) -> tuple[list[Object], list[Object]]:
    """What is applied, and the hooks: each in its namespace, marked, and permitted by the project.

    Args:
        app: the name that objects are marked with.

    Raises:
        SealError: one is not permitted, or is there twice.
        ToolError: the cluster does not tell.
    """
    plain, hooks, seen = list[Object](), list[Object](), set[str]()
    for value in asked.objects:
        placed = _placed(there.cluster, value, there.destination.namespace)
        _permitted(placed, there, project)
        entry, is_hook = entry_of(placed), bool(sync_tasks.hooks_of(placed))
        if entry.name and entry.id in seen:
            raise SealError(f"{entry} is there twice")
        seen.add(entry.id)
        (hooks if is_hook else plain).append(resource_tracking.marked(mark, app, placed, there.destination.namespace))
    return plain, hooks


def _placed(cluster: Objects, value: Object, namespace: str) -> Object:
    """An object in the namespace in which it is applied; what is of the whole cluster is in none."""
    kind = cluster.kind(value["apiVersion"], value["kind"])
    metadata = value["metadata"]
    is_namespaced = kind.is_namespaced if kind is not None else bool(metadata.get("namespace"))
    if not is_namespaced:
        return {**value, "metadata": {key: held for key, held in metadata.items() if key != "namespace"}}
    return {**value, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def _permitted(value: Object, there: There, project: Object) -> None:
    entry, name = entry_of(value), project["metadata"]["name"]
    if not app_project.permits_kind(project, entry, bool(entry.namespace)):
        raise SealError(f"{entry} of {entry.group or 'the core'}: the project {name} does not permit this kind")
    if not entry.namespace:
        if there.namespaces:
            raise SealError(f"{entry} is of the whole cluster, and its Secret permits some namespaces alone")
        return
    if not app_project.permits_destination(project, there.destination._replace(namespace=entry.namespace)):
        raise SealError(f"{entry}: the project {name} does not permit this namespace")
    if there.namespaces and entry.namespace not in there.namespaces:
        raise SealError(f"{entry}: the Secret of the cluster does not permit this namespace")


def how(asked: Asked, general: Options, is_forced: bool = False) -> server_side_apply.How:
    """How each object is applied."""
    ignored = asked.application.ignored

    def manner(value: Object, live: Object | None) -> Manner:
        own, rules = general.of(value), ignore_differences.about(value, ignored)
        adjusted = ignore_differences.respected(value, rules, live) if own.has("RespectIgnoreDifferences") else value
        shown = partial(ignore_differences.without, rules=rules, live=live)
        forced = is_forced or own.has("Force")
        return Manner(adjusted, False, forced, own.has("Replace"), True, shown)

    return manner


def compared(
    there: There,
    wanted: Sequence[Object],
    before: Iterable[Entry],
    method: server_side_apply.How,
    mark: Tracking,
    app: str,
) -> list[Item]:
    """What there is, object by object; what was applied before and is not wanted any more among it.

    Raises:
        SealError: an object says what there is not.
        ToolError: the cluster does not tell.
    """
    order = sync_tasks.ordered(
        sync_tasks.Task("Sync", sync_tasks.wave_of(one), entry_of(one), "", one) for one in wanted
    )
    changes = server_side_apply.planned(there.cluster, sync_tasks.stages(order), method)
    found = [_item(change, mark.scripts) for change in changes]
    ids = {one.entry.id for one in found}
    for entry in {one.id: one for one in before}.values():
        live = got(there.cluster, entry) if entry.id not in ids else None
        if live is not None and resource_tracking.owner(mark, live) == app and not sync_tasks.hooks_of(live):
            status: Status = "Synced" if sync_options.is_extraneous(live) else "OutOfSync"
            found.append(Item(entry, status, None, live, _health(live, mark.scripts)))
    return found


def _item(change: Change, scripts: Scripts) -> Item:
    is_same = change.action in ("unchanged", "skip") or change.reason == ADOPTED
    return Item(
        entry_of(change.value), "Synced" if is_same else "OutOfSync", change, change.live, _health(change.live, scripts)
    )


def _health(live: Object | None, scripts: Scripts) -> Health | None:
    if live is None:
        return Health("Missing")
    return None if sync_options.is_unchecked(live) else resource_health.of(live, scripts)


def got(cluster: Objects, entry: Entry) -> Object | None:
    """An object of the cluster; None where it is not there."""
    kind = cluster.kind(entry.api_version, entry.kind)
    return cluster.get(kind, entry.namespace, entry.name) if kind is not None else None


def refreshed(cluster: Objects, items: Sequence[Item], scripts: Scripts) -> list[Item]:
    """The same, with the health of what is there now.

    Raises:
        ToolError: the cluster does not tell.
    """
    found = []
    for one in items:
        live = got(cluster, one.entry)
        found.append(one._replace(live=live, health=_health(live, scripts)))
    return found


def settled(cluster: Objects, items: Sequence[Item], results: Iterable[Result], scripts: Scripts) -> list[Item]:
    """The same after a sync that came to a good end: what was applied is as it is wanted.

    Raises:
        ToolError: the cluster does not tell.
    """
    done = {one.entry.id for one in results if one.status == "Synced"}
    found = []
    for one in refreshed(cluster, items, scripts):
        if one.entry.id in done:
            found.append(one._replace(status="Synced"))
        elif not (one.goes and one.live is None):
            found.append(one)
    return found


def status_of(items: Sequence[Item]) -> Status:
    """Whether all is as it is wanted."""
    return "OutOfSync" if any(one.status == "OutOfSync" for one in items) else "Synced"


def health_of(items: Sequence[Item]) -> Health:
    """How well the Application is: as well as what is worst of what it wants."""
    known = [one.health for one in items if one.health is not None and not one.goes]
    return Health(builtin.worst(one.word for one in known))


def before(value: Object, known: Iterable[Entry]) -> list[Entry]:
    """What an Application has applied: as its status has it, and as the marks in the cluster have it."""
    held: Any = at(value, ("status", "resources"))
    listed = [entry_in(one) for one in (held if isinstance(held, list) else ()) if not one.get("hook")]
    return list({one.id: one for one in (*known, *listed)}.values())


def entry_in(one: Any) -> Entry:
    """The object that a line of an Application's status is about."""
    return Entry(*(str(one.get(name) or "") for name in ("namespace", "name", "group", "kind", "version")))
