"""What is asked of an Application: a sync by somebody, one by itself, or none; and what of it stands in its status.

Source: argo-cd `docs/user-guide/auto_sync.md`, `controller/appcontroller.go` (`autoSync`).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from gatekeeper.argocd import status
from gatekeeper.argocd.application_spec import Application, Retry, retry_of
from gatekeeper.argocd.model import Asked, Item, Result
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import Options, read
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import Fields
from gatekeeper.model import at

State = dict[str, Any]


def state_of(value: Object) -> State:
    """The state of the last operation; empty where there was none."""
    held = at(value, ("status", "operationState"))
    return held if isinstance(held, dict) else {}


def is_running(state: State) -> bool:
    """Whether an operation is not at its end."""
    return state.get("phase") in ("Running", "Terminating")


def automatic(asked: Asked, items: Sequence[Item], state: State) -> tuple[State | None, str]:
    """The sync that an Application does by itself; None where it does none, and if need be why.

    One attempt for what is asked: what failed is not done again before something is another.
    """
    policy = asked.application.automated
    if policy is None or comparison.status_of(items) == "Synced":
        return None, ""
    # What is on its way out needs no more.
    off = [one for one in items if one.status == "OutOfSync" and not (one.goes and _is_ending(one.live))]
    if not off or (all(one.goes for one in off) and not policy.prune):
        return None, ""
    if policy.prune and not policy.allow_empty and all(one.goes for one in items):
        return None, "nothing is left of it: it is not emptied by itself (`allowEmpty`)"
    sync: State = {"prune": True, **status.revisions(asked)} if policy.prune else status.revisions(asked)
    operation = {"sync": sync, "initiatedBy": {"automated": True}}
    if _same(asked, state):
        if state.get("phase") != "Succeeded":
            return (
                None,
                f"the last sync to {_short(asked)} failed, and is not done again by itself: {state.get('message')}",
            )
        if not policy.self_heal:
            return None, ""
        # Hooks are for what is new in Git.
        return {**operation, "sync": {**sync, "resources": [_named(one) for one in off]}}, ""
    return operation, ""


def _is_ending(live: Object | None) -> bool:
    return bool(at(live, ("metadata", "deletionTimestamp")))


def _short(asked: Asked) -> str:
    return ", ".join(one[:7] for one in asked.revisions)


def _same(asked: Asked, state: State) -> bool:
    """Whether the last sync was of the same commits, and of what was asked the same."""
    done = state.get("syncResult") or {}
    own = {**status.revisions(asked), **status.sources(asked.value)}
    return all(done.get(name) == held for name, held in own.items())


def superseded(asked: Asked, state: State) -> str:
    """Why an operation cannot be gone on with; empty where it is of the commits that are known now."""
    own, done = status.revisions(asked), state.get("syncResult") or {}
    if all(done.get(name) == held for name, held in own.items()):
        return ""
    return f"there is something new in Git, {_short(asked)}: it begins anew"


def _named(one: Item) -> State:
    entry = one.entry
    return {"group": entry.group, "kind": entry.kind, "namespace": entry.namespace, "name": entry.name}


def begun(asked: Asked, operation: State, now: float) -> State:
    """The state of an operation that begins."""
    return {
        "operation": operation, "phase": "Running", "startedAt": conditions.time_of(now), "message": "it begins",
        "syncResult": {"revision": "", **status.revisions(asked), **status.sources(asked.value), "resources": []},
    }  # fmt: skip


def with_results(state: State, results: Sequence[Result], message: str) -> State:
    """A state with what was done so far."""
    done = {**(state.get("syncResult") or {}), "resources": [status.result(one) for one in results]}
    return {**state, "syncResult": done, "message": message[: conditions.MOST_MESSAGE]}


def ended(state: State, phase: str, message: str, now: float, retry: Retry) -> State:
    """A state at its end; or, where it failed and is tried again, until then."""
    count = int(state.get("retryCount") or 0)
    found = {
        **state,
        "phase": phase,
        "message": message[: conditions.MOST_MESSAGE],
        "finishedAt": conditions.time_of(now),
    }
    if phase != "Failed" or not (retry.limit < 0 or count < retry.limit):
        return found
    words = f"{message}; tried again in {retry.after(count):g} seconds ({count + 1})"
    return {**found, "phase": "Running", "retryCount": count + 1, "message": words[: conditions.MOST_MESSAGE]}


def wait(state: State, retry: Retry, now: float) -> float:
    """Seconds until what failed is tried again; 0 where it is its time."""
    finished = state.get("finishedAt")
    if not finished:
        return 0.0
    when = datetime.datetime.fromisoformat(str(finished)).timestamp()
    return max(0.0, when + retry.after(int(state.get("retryCount") or 1) - 1) - now)


def again(state: State) -> State:
    """A state that is tried again."""
    found = {key: held for key, held in state.items() if key != "finishedAt"}
    return with_results(found, (), "it is tried again")


def retry_for(application: Application, operation: State) -> Retry:
    """How often what failed is tried again: as the operation says, or the Application.

    Raises:
        FieldError: it is not valid.
    """
    held = operation.get("retry")
    return retry_of(Fields(held, ("operation", "retry"))) if held else application.retry


def options_for(application: Application, operation: State) -> Options:
    """What counts in an operation: what it says itself before what the Application does.

    Raises:
        SealError: an option is not known.
    """
    listed = at(operation, ("sync", "syncOptions"))
    own = [str(one) for one in listed] if isinstance(listed, list) else []
    return read([*application.options, *own], "the Application")


def refusal(asked: Asked, operation: State) -> str:
    """Why an operation is not done; empty where it is."""
    sync = operation.get("sync")
    if not isinstance(sync, dict):
        return "it asks for nothing that is known: `operation.sync` is missing"
    for name in ("manifests", "source", "sources"):
        if sync.get(name):
            return f"`operation.sync.{name}` is not supported: what is not in Git is not applied"
    wanted = [str(one) for one in sync.get("revisions") or [sync.get("revision") or ""]]
    known = [
        (commit, source.revision) for commit, source in zip(asked.revisions, asked.application.sources, strict=True)
    ]
    for one, own in zip(wanted, known, strict=False):
        if one and one not in own:
            return f"it asks for {one}, and the Application targets {own[1]}: change its `targetRevision`"
    return ""


def selected(operation: State) -> list[tuple[str, str, str, str]]:
    """Which objects alone an operation is about, by group, kind, namespace and name; none for all."""
    listed = at(operation, ("sync", "resources"))
    names = ("group", "kind", "namespace", "name")
    return [
        (
            str(one.get(names[0]) or ""),
            str(one.get(names[1]) or ""),
            str(one.get(names[2]) or ""),
            str(one.get(names[3]) or ""),
        )
        for one in (listed if isinstance(listed, list) else ())
    ]
