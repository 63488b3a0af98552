"""Waiting until what was applied is as it shall be: no longer than it may take, and not where it will not get there."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence

from gatekeeper.cluster.objects import Objects
from gatekeeper.errors import ToolError
from gatekeeper.reconciling import health
from gatekeeper.reconciling.applying import Change
from gatekeeper.reconciling.inventory import entry_of
from gatekeeper.reconciling.wanting import Check, Wanted

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


def targets(wanted: Wanted, changes: Sequence[Change]) -> list[Check]:
    """What must be there: all that was applied, or what is named."""
    if not wanted.wait:
        return list(wanted.checks)
    entries = [entry_of(change.value) for change in changes if change.action != "skip"]
    return [Check(entry.api_version, entry.kind, entry.namespace, entry.name) for entry in entries]


def unready(cluster: Objects, checks: Sequence[Check], seconds: float, stop: threading.Event) -> str:
    """Why not all is there, once that is sure, the time is over, or it is told to stop; empty where all is."""
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    left = list(checks)
    while True:
        states = [(check, _state(cluster, check)) for check in left]
        failed = [f"{_shown(check)}: {state.reason}" for check, state in states if state.word == "Failed"]
        if failed:
            return "; ".join(failed)
        left = [check for check, state in states if state.word != "Current"]
        if not left:
            return ""
        if time.monotonic() + pause > end:
            words = [f"{_shown(check)}: {state.reason}" for check, state in states if state.word != "Current"]
            return f"not ready after {seconds:g} seconds: {'; '.join(words)}"
        if stop.wait(pause):
            return "nobody waits any more until all is there: it was told to stop"
        pause = min(LONGEST_PAUSE, pause * 1.5)


def _state(cluster: Objects, check: Check) -> health.Health:
    try:
        kind = cluster.kind(check.api_version, check.kind)
        found = cluster.get(kind, check.namespace, check.name) if kind else None
    except ToolError as error:
        return health.Health("InProgress", str(error))
    if found is None:
        return health.Health("InProgress", "it is not there")
    return health.of(found, datetime.datetime.now(datetime.UTC))


def _shown(check: Check) -> str:
    return f"{check.kind} {f'{check.namespace}/' if check.namespace else ''}{check.name}"
