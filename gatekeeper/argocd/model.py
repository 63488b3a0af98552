"""Types of an Application at work: what it applies, how its objects compare, and the results of a sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.model import Object, Verdict
from gatekeeper.named_tuple import NamedTuple

SyncStatus = Literal["Synced", "OutOfSync", "Unknown"]
SyncPhase = Literal["PreSync", "Sync", "PostSync", "SyncFail"]
SYNC_PHASES: tuple[SyncPhase, ...] = ("PreSync", "Sync", "PostSync", "SyncFail")
OperationPhase = Literal["Running", "Succeeded", "Failed", "Error", "Terminating"]


# An Application as it is in the cluster, and its parsed spec.
ApplicationSpec = tuple[Object, Application]


class ApplicationBuild(NamedTuple):
    """An Application and the objects rendered from its sources.

    Attributes:
        manifest: the Application as it is in the cluster or in Git.
        folders: the folder of each source that has manifests.
        source_types: the tool that renders each of these sources.
        revisions: the commit or chart version of every source.
        render_error: why not everything could be rendered; empty if it could.
    """

    manifest: Object
    application: Application
    folders: Sequence[str]
    objects: Sequence[Object]
    source_types: Sequence[str]
    revisions: Sequence[str]
    render_error: str = ""


class CheckedApplications(NamedTuple):
    """The verdict on repositories and on what Applications render from them, and what these apply."""

    verdict: Verdict
    builds: list[ApplicationBuild]


class ComparedObject(NamedTuple):
    """An object of an Application: desired, live, or both.

    Attributes:
        change: what applying it would do; None if it is no longer desired.
        live: the live object; None if it does not exist.
    """

    entry: InventoryEntry
    status: SyncStatus
    change: ObjectChange | None
    live: Object | None
    health: ArgoHealth | None

    @property
    def should_prune(self) -> bool:
        """Whether it is no longer desired."""
        return self.change is None


class ResourceResult(NamedTuple):
    """The result of one object in a sync.

    Attributes:
        status: `Synced`, `SyncFailed`, `Pruned` or `PruneSkipped`; empty for a running hook.
        hook_phase: its progress after it was applied.
        hook_type: the hook phase it is annotated with; empty for an ordinary object.
        is_unchanged: whether this step left the object as it was; not kept in the status of the Application.
    """

    entry: InventoryEntry
    phase: SyncPhase
    status: str
    hook_phase: OperationPhase
    message: str = ""
    hook_type: str = ""
    is_unchanged: bool = False
