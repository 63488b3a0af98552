"""When an Application may be synced: the windows of its project.

Source: argo-cd `docs/user-guide/sync_windows.md`, `pkg/apis/application/v1alpha1/types.go` (`SyncWindows.CanSync`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gatekeeper.kube.decoder import FieldError, Fields

DAY = 24 * 3600.0
# Names of schedules, as robfig/cron has them.
NAMES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


class Window(NamedTuple):
    """A time in which syncs are allowed, or not.

    Attributes:
        schedule: when it begins, as cron has it.
        seconds: how long it lasts.
        is_manual: whether a sync that somebody asks for is allowed nevertheless.
        needs_all: whether it is about what fits all its lists, and not about what fits one.
    """

    kind: Literal["allow", "deny"]
    schedule: str
    seconds: float
    zone: str
    applications: tuple[str, ...]
    namespaces: tuple[str, ...]
    clusters: tuple[str, ...]
    is_manual: bool
    needs_all: bool

    def is_open(self, now: datetime) -> bool:
        """Whether it lasts at a moment."""
        began = _before(self.schedule, now.astimezone(ZoneInfo(self.zone)))
        return began is not None and now - began < timedelta(seconds=self.seconds)


def _before(schedule: str, now: datetime) -> datetime | None:
    """When a schedule last began; a minute counts from its first second on."""
    found = next(CronSim(schedule, now + timedelta(seconds=1), reverse=True), None)
    return found.astimezone(UTC) if found is not None else None


def read(value: Any, number: int) -> Window:
    """A window as it stands in a project.

    Raises:
        FieldError: it is not valid.
    """
    where = ("spec", "syncWindows", number)
    fields = Fields(value, where)
    kind: Literal["allow", "deny"] = fields.choice("kind", ("allow", "deny"), "allow")
    schedule = fields.text("schedule")
    for name in ("description", "syncOverrun"):
        fields.has(name)
    found = Window(
        kind, NAMES.get(schedule, schedule), fields.seconds("duration", 0.0), fields.text("timeZone", "") or "UTC",
        fields.words("applications"), fields.words("namespaces"), fields.words("clusters"),
        fields.flag("manualSync"), fields.flag("andOperator"),
    )  # fmt: skip
    fields.end()
    try:
        # robfig/cron has five fields, and so have these.
        if len(found.schedule.split()) != 5:
            raise CronSimError("fields")
        CronSim(found.schedule, datetime.now(UTC))
        ZoneInfo(found.zone)
    except CronSimError:
        raise FieldError((*where, "schedule"), f"is no schedule of cron: {schedule}") from None
    except (KeyError, ValueError, OSError):
        raise FieldError((*where, "timeZone"), f"is no time zone: {found.zone}") from None
    return found


def closed(own: Sequence[Window], now: datetime, is_manual: bool) -> str:
    """Why an Application may not be synced now; empty where it may.

    Args:
        own: the windows that are about it.
        is_manual: whether somebody has asked for it.
    """
    shut = [one for one in own if one.kind == "deny" and one.is_open(now)]
    if shut and not (is_manual and all(one.is_manual for one in shut)):
        return f"a sync window denies it (`{shut[0].schedule}`, {shut[0].zone})"
    allowing = [one for one in own if one.kind == "allow"]
    if not allowing or any(one.is_open(now) for one in allowing):
        return ""
    if is_manual and all(one.is_manual for one in allowing):
        return ""
    return f"no sync window allows it now (`{allowing[0].schedule}`, {allowing[0].zone})"


def change(own: Sequence[Window], now: datetime) -> float:
    """Seconds until a window may begin or end: not longer than a day."""
    soon = DAY
    for one in own:
        local = now.astimezone(ZoneInfo(one.zone))
        begins = next(CronSim(one.schedule, local), None)
        began = _before(one.schedule, local)
        for moment in (begins, began + timedelta(seconds=one.seconds) if began else None):
            left = (moment - now).total_seconds() if moment is not None else -1.0
            if left > 0:
                soon = min(soon, left)
    return soon
