"""What an Application applies, what is there of it, and what becomes of a sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.server_side_apply import Change
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health.builtin import Health
from gatekeeper.cluster.dynamic_client import Object

Status = Literal["Synced", "OutOfSync", "Unknown"]
Phase = Literal["PreSync", "Sync", "PostSync", "SyncFail"]
PHASES: tuple[Phase, ...] = ("PreSync", "Sync", "PostSync", "SyncFail")
Running = Literal["Running", "Succeeded", "Failed", "Error", "Terminating"]


class Asked(NamedTuple):
    """An Application as it is in the cluster, and what it applies.

    Attributes:
        folders: of the repositories, from which it applies.
        types: by which tool each source is rendered.
        lost: why not all of it could be rendered; empty where it could.
        revisions: the commits of all its sources.
    """

    value: Object
    application: Application
    folders: Sequence[str]
    objects: Sequence[Object]
    types: Sequence[str]
    revisions: Sequence[str]
    lost: str = ""


class Item(NamedTuple):
    """One object of an Application: wanted, there, or both.

    Attributes:
        change: what applying it would do; None where it is not wanted any more.
        live: as it is in the cluster; None where it is not.
    """

    entry: Entry
    status: Status
    change: Change | None
    live: Object | None
    health: Health | None

    @property
    def goes(self) -> bool:
        """Whether it is there and not wanted any more."""
        return self.change is None


class Result(NamedTuple):
    """What became of one object in a sync.

    Attributes:
        status: `Synced`, `SyncFailed`, `Pruned`, `PruneSkipped`; empty of a hook that runs.
        running: how it goes on after it was applied.
        hook: its kind of hook; empty of what is none.
    """

    entry: Entry
    phase: Phase
    status: str
    running: Running
    message: str = ""
    hook: str = ""
