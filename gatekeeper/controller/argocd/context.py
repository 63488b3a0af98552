"""The environment of the Argo CD controller, and the context in which one Application is reconciled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gatekeeper.apply import prune_budget
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.model import ApplicationBuild
from gatekeeper.argocd.resource_tracking import ComparisonTarget, TrackingSettings
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.argocd.sync.sync_windows import SyncWindow
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.model import NamespacedName, Object, Verdict
from gatekeeper.named_tuple import NamedTuple


class ArgoEnvironment(NamedTuple):
    """What all Applications are reconciled with.

    Attributes:
        cluster: the cluster of the Applications.
        argocd_namespace: namespace of Argo CD's own objects.
        tracking: how objects are marked; read once at the start.
        record: records an audit event; what cannot be recorded is not done.
        get_project: returns an AppProject by namespace and name.
        list_managed: lists the objects in this cluster that are marked with an instance name.
        watch_entries: watches applied objects for drift.
    """

    cluster: DynamicClient
    argocd_namespace: str
    tracking: TrackingSettings
    budget: PruneBudget
    record: Callable[[AuditEvent], None]
    metrics: Metrics
    get_project: Callable[[NamespacedName], Object | None]
    list_managed: Callable[[str], list[InventoryEntry]]
    watch_entries: Callable[[Iterable[InventoryEntry]], None]


class ApplicationContext(NamedTuple):
    """One Application, and everything its reconcile depends on.

    Attributes:
        manifest: the Application as it is in the cluster now.
        target: the destination cluster, with the rights that its project grants there.
        options: the sync options of the Application.
        sync_windows: those that apply to it.
        resources, hooks: the objects it applies, with namespaces and tracking marks.
    """

    environment: ArgoEnvironment
    manifest: Object
    application: Application
    target: ComparisonTarget
    options: SyncOptions
    sync_windows: Sequence[SyncWindow]
    build: ApplicationBuild
    verdict: Verdict
    resources: Sequence[Object] = ()
    hooks: Sequence[Object] = ()

    @property
    def name(self) -> NamespacedName:
        """Namespace and name."""
        return self.application.key

    @property
    def destination_client(self) -> DynamicClient:
        """The destination cluster."""
        return self.target.cluster.cluster

    @property
    def is_in_cluster(self) -> bool:
        """Whether the destination is the cluster of the Application."""
        return self.target.cluster.is_in_cluster

    @property
    def revision(self) -> str:
        """The revisions of all sources, separated by spaces."""
        return " ".join(self.build.revisions)

    @property
    def approved_revision(self) -> str:
        """The revision that a user has approved to exceed the prune budget; empty for none."""
        return prune_budget.read_approved_revision(self.manifest)
