"""What an Application applies, what is there of it, and what becomes of a sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.server_side_apply import ObjectChange
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.cluster.dynamic_client import Object

SyncStatus = Literal["Synced", "OutOfSync", "Unknown"]
SyncPhase = Literal["PreSync", "Sync", "PostSync", "SyncFail"]
SYNC_PHASES: tuple[SyncPhase, ...] = ("PreSync", "Sync", "PostSync", "SyncFail")
OperationPhase = Literal["Running", "Succeeded", "Failed", "Error", "Terminating"]


class ApplicationBuild(NamedTuple):
    """An Application as it is in the cluster, and what it applies.

    Attributes:
        folders: of the repositories, from which it applies.
        source_types: by which tool each source is rendered.
        render_error: why not all of it could be rendered; empty where it could.
        revisions: the commits of all its sources.
    """

    manifest: Object
    application: Application
    folders: Sequence[str]
    objects: Sequence[Object]
    source_types: Sequence[str]
    revisions: Sequence[str]
    render_error: str = ""


class ComparedObject(NamedTuple):
    """One object of an Application: wanted, there, or both.

    Attributes:
        change: what applying it would do; None where it is not wanted any more.
        live: as it is in the cluster; None where it is not.
    """

    entry: InventoryEntry
    status: SyncStatus
    change: ObjectChange | None
    live: Object | None
    health: ArgoHealth | None

    @property
    def should_prune(self) -> bool:
        """Whether it is there and not wanted any more."""
        return self.change is None


class ResourceResult(NamedTuple):
    """What became of one object in a sync.

    Attributes:
        status: `Synced`, `SyncFailed`, `Pruned`, `PruneSkipped`; empty of a hook that runs.
        hook_phase: how it goes on after it was applied.
        hook_type: its kind of hook; empty of what is none.
        is_unchanged: whether this step left the object as it was; not kept in the status of the Application.
    """

    entry: InventoryEntry
    phase: SyncPhase
    status: str
    hook_phase: OperationPhase
    message: str = ""
    hook_type: str = ""
    is_unchanged: bool = False
