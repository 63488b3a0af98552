"""When an Application may be synced: the windows of its project.

Source: argo-cd `docs/user-guide/sync_windows.md`, `pkg/apis/application/v1alpha1/types.go` (`SyncWindows.CanSync`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gatekeeper.kube.decoder import FieldError, FieldReader

DAY_SECONDS = 24 * 3600.0
# Names of schedules, as robfig/cron has them.
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
    """A time in which syncs are allowed, or not.

    Attributes:
        schedule: when it begins, as cron has it.
        duration_seconds: how long it lasts.
        is_manual_allowed: whether a sync that somebody asks for is allowed nevertheless.
        should_match_all: whether it is about what fits all its lists, and not about what fits one.
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
        """Whether it lasts at a moment."""
        began = _find_last_start(self.schedule, now.astimezone(ZoneInfo(self.time_zone)))
        return began is not None and now - began < timedelta(seconds=self.duration_seconds)


def _find_last_start(schedule: str, now: datetime) -> datetime | None:
    """When a schedule last began; a minute counts from its first second on."""
    found = next(CronSim(schedule, now + timedelta(seconds=1), reverse=True), None)
    return found.astimezone(UTC) if found is not None else None


def parse_sync_window(value: Any, index: int) -> SyncWindow:
    """A window as it stands in a project.

    Raises:
        FieldError: it is not valid.
    """
    where = ("spec", "syncWindows", index)
    fields = FieldReader(value, where)
    kind: Literal["allow", "deny"] = fields.read_choice("kind", ("allow", "deny"), "allow")
    schedule = fields.read_string("schedule")
    for name in ("description", "syncOverrun"):
        fields.has_field(name)
    found = SyncWindow(
        kind,
        CRON_ALIASES.get(schedule, schedule),
        fields.read_duration("duration", 0.0),
        fields.read_string("timeZone", "") or "UTC",
        fields.read_string_list("applications"),
        fields.read_string_list("namespaces"),
        fields.read_string_list("clusters"),
        fields.read_bool("manualSync"),
        fields.read_bool("andOperator"),
    )
    fields.reject_unknown()
    try:
        # robfig/cron has five fields, and so have these.
        if len(found.schedule.split()) != 5:
            raise CronSimError("fields")
        CronSim(found.schedule, datetime.now(UTC))
        ZoneInfo(found.time_zone)
    except CronSimError:
        raise FieldError((*where, "schedule"), f"is no schedule of cron: {schedule}") from None
    except (KeyError, ValueError, OSError):
        raise FieldError((*where, "timeZone"), f"is no time zone: {found.time_zone}") from None
    return found


def find_blocking_window(windows: Sequence[SyncWindow], now: datetime, is_manual: bool) -> str:
    """Why an Application may not be synced now; empty where it may.

    Args:
        windows: the windows that are about it.
        is_manual: whether somebody has asked for it.
    """
    shut = [one for one in windows if one.kind == "deny" and one.is_open(now)]
    if shut and not (is_manual and all(one.is_manual_allowed for one in shut)):
        return f"a sync window denies it (`{shut[0].schedule}`, {shut[0].time_zone})"
    allowing = [one for one in windows if one.kind == "allow"]
    if not allowing or any(one.is_open(now) for one in allowing):
        return ""
    if is_manual and all(one.is_manual_allowed for one in allowing):
        return ""
    return f"no sync window allows it now (`{allowing[0].schedule}`, {allowing[0].time_zone})"


def seconds_until_change(windows: Sequence[SyncWindow], now: datetime) -> float:
    """Seconds until a window may begin or end: not longer than a day."""
    soon = DAY_SECONDS
    for one in windows:
        local = now.astimezone(ZoneInfo(one.time_zone))
        begins = next(CronSim(one.schedule, local), None)
        began = _find_last_start(one.schedule, local)
        for moment in (begins, began + timedelta(seconds=one.duration_seconds) if began else None):
            left = (moment - now).total_seconds() if moment is not None else -1.0
            if left > 0:
                soon = min(soon, left)
    return soon
