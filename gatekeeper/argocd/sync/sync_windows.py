"""Sync windows: the times in which a project permits or denies syncs.

Source: argo-cd `docs/user-guide/sync_windows.md`, `pkg/apis/application/v1alpha1/types.go` (`SyncWindows.CanSync`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.named_tuple import NamedTuple

DAY_SECONDS = 24 * 3600.0
# A schedule has minute, hour, day of month, month and day of week; cronsim would also accept seconds.
CRON_FIELDS = 5
# The named schedules of robfig/cron.
CRON_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class SyncWindow(NamedTuple):
    """A recurring time in which syncs are permitted or denied.

    Attributes:
        schedule: when it begins, as a cron expression.
        duration_seconds: how long it lasts.
        is_manual_allowed: whether a requested sync may run in spite of it.
        should_match_all: whether an Application must match every non-empty list, and not only one.
    """

    kind: Literal["allow", "deny"]
    schedule: str
    duration_seconds: float
    time_zone: str
    applications: tuple[str, ...]
    namespaces: tuple[str, ...]
    clusters: tuple[str, ...]
    is_manual_allowed: bool
    should_match_all: bool

    def is_open(self, now: datetime) -> bool:
        """Whether the window contains a time."""
        start = _find_last_start(self.schedule, now.astimezone(ZoneInfo(self.time_zone)))
        return start is not None and now - start < timedelta(seconds=self.duration_seconds)


def _find_last_start(schedule: str, now: datetime) -> datetime | None:
    """Return when a schedule last began; a start at this very minute counts."""
    start = next(CronSim(schedule, now + timedelta(seconds=1), reverse=True), None)
    return start.astimezone(UTC) if start is not None else None


def parse_sync_window(value: Any, index: int) -> SyncWindow:
    """Decode a sync window of a project.

    Args:
        index: its position in `spec.syncWindows`.

    Raises:
        FieldError: a field is invalid or not supported.
    """
    path = ("spec", "syncWindows", index)
    fields = FieldReader(value, path)
    kind: Literal["allow", "deny"] = fields.read_choice("kind", ("allow", "deny"), "allow")
    schedule = fields.read_string("schedule")
    for name in ("description", "syncOverrun"):
        fields.has_field(name)
    window = SyncWindow(
        kind=kind,
        schedule=CRON_ALIASES.get(schedule, schedule),
        duration_seconds=fields.read_duration("duration", 0.0),
        time_zone=fields.read_string("timeZone", "") or "UTC",
        applications=fields.read_string_list("applications"),
        namespaces=fields.read_string_list("namespaces"),
        clusters=fields.read_string_list("clusters"),
        is_manual_allowed=fields.read_bool("manualSync"),
        should_match_all=fields.read_bool("andOperator"),
    )
    fields.reject_unknown()
    try:
        if len(window.schedule.split()) != CRON_FIELDS:
            raise CronSimError("wrong number of fields")
        CronSim(window.schedule, datetime.now(UTC))
        ZoneInfo(window.time_zone)
    except CronSimError:
        raise FieldError((*path, "schedule"), f"is not a cron schedule: `{schedule}`; use five fields") from None
    except (KeyError, ValueError, OSError):
        raise FieldError((*path, "timeZone"), f"is not a time zone: {window.time_zone}") from None
    return window


def find_blocking_window(windows: Sequence[SyncWindow], now: datetime, is_manual: bool) -> str:
    """Return why the sync windows deny a sync now; empty if they permit it.

    Args:
        windows: those that apply to the Application.
        is_manual: whether a user has requested the sync.
    """
    denying = [window for window in windows if window.kind == "deny" and window.is_open(now)]
    if denying and not (is_manual and all(window.is_manual_allowed for window in denying)):
        return f"a sync window denies syncs now (`{denying[0].schedule}`, {denying[0].time_zone})"
    allowing = [window for window in windows if window.kind == "allow"]
    if not allowing or any(window.is_open(now) for window in allowing):
        return ""
    if is_manual and all(window.is_manual_allowed for window in allowing):
        return ""
    return f"no sync window permits syncs now (`{allowing[0].schedule}`, {allowing[0].time_zone})"


def seconds_until_change(windows: Sequence[SyncWindow], now: datetime) -> float:
    """Return the seconds until a window next begins or ends; a day at most."""
    shortest = DAY_SECONDS
    for window in windows:
        local = now.astimezone(ZoneInfo(window.time_zone))
        next_start, last_start = next(CronSim(window.schedule, local), None), _find_last_start(window.schedule, local)
        last_end = last_start + timedelta(seconds=window.duration_seconds) if last_start else None
        for change in (next_start, last_end):
            seconds = (change - now).total_seconds() if change is not None else 0.0
            if seconds > 0:
                shortest = min(shortest, seconds)
    return shortest
