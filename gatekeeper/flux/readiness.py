"""Waiting until what was applied is as it shall be: no longer than it may take, and not where it will not get there."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply import kstatus
from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.server_side_apply import Change
from gatekeeper.cluster.dynamic_client import Objects
from gatekeeper.errors import ToolError
from gatekeeper.flux import health_expressions
from gatekeeper.flux.kustomization_spec import Check, Wanted, ruled

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


def targets(wanted: Wanted, changes: Sequence[Change]) -> list[Check]:
    """What must be there: all that was applied, or what is named."""
    if not wanted.wait:
        return list(wanted.checks)
    entries = [entry_of(change.value) for change in changes if change.action != "skip"]
    checks = (Check(entry.api_version, entry.kind, entry.namespace, entry.name) for entry in entries)
    return [ruled(check, wanted.rules) for check in checks]


def unready(cluster: Objects, checks: Sequence[Check], seconds: float, stop: threading.Event) -> str:
    """Why not all is there, once that is sure, the time is over, or it is told to stop; empty where all is."""
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    left = list(checks)
    while True:
        look = looked(cluster, left)
        if look.failed or not look.left:
            return look.failed
        left = look.left
        if time.monotonic() + pause > end:
            return late(look, seconds)
        if stop.wait(pause):
            return "nobody waits any more until all is there: it was told to stop"
        pause = min(LONGEST_PAUSE, pause * 1.5)


class Look(NamedTuple):
    """What a look at what is waited for found.

    Attributes:
        failed: why some will not get there; empty where all may.
        left: what is not there yet; and
        reasons: why.
    """

    failed: str
    left: list[Check]
    reasons: str


def looked(cluster: Objects, checks: Sequence[Check]) -> Look:
    """Looks at all that is waited for, once."""
    states = [(check, _state(cluster, check)) for check in checks]
    failed = "; ".join(f"{_shown(check)}: {state.reason}" for check, state in states if state.word == "Failed")
    late = [(check, state) for check, state in states if state.word != "Current"]
    return Look(
        failed, [check for check, _ in late], "; ".join(f"{_shown(check)}: {state.reason}" for check, state in late)
    )


def late(look: Look, seconds: float) -> str:
    """Why not all is there, when time is over."""
    return f"not ready after {seconds:g} seconds: {look.reasons}"


def _state(cluster: Objects, check: Check) -> kstatus.Health:
    try:
        kind = cluster.kind(check.api_version, check.kind)
        found = cluster.get(kind, check.namespace, check.name) if kind else None
    except ToolError as error:
        return kstatus.Health("InProgress", str(error))
    if found is None:
        return kstatus.Health("InProgress", "it is not there")
    if check.rule is not None:
        return health_expressions.health_of(found, check.rule)
    return kstatus.of(found, datetime.datetime.now(datetime.UTC))


def _shown(check: Check) -> str:
    return f"{check.kind} {f'{check.namespace}/' if check.namespace else ''}{check.name}"
