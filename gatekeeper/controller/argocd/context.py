"""An Application at hand, with all that counts for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.model import ApplicationBuild
from gatekeeper.argocd.resource_tracking import TrackingSettings
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.argocd.sync.sync_windows import SyncWindow
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import Verdict


class ArgoEnvironment(NamedTuple):
    """In what Applications are worked on.

    Attributes:
        argocd_namespace: the namespace of Argo CD's own objects.
        tracking: how objects are marked; as it was at the start.
        record: see `Round.note`.
    """

    cluster: DynamicClient
    argocd_namespace: str
    tracking: TrackingSettings
    budget: PruneBudget
    record: Callable[[AuditEvent], None]
    metrics: Metrics


class ApplicationContext(NamedTuple):
    """An Application at hand, with all that counts for it.

    Attributes:
        manifest: as it is in the cluster now.
        target: the cluster that it is applied to, with the rights that count there.
        instance_name: the name that objects are marked with.
        windows: those that are about it.
        resources, hooks: what it applies.
    """

    environment: ArgoEnvironment
    manifest: Object
    application: Application
    target: DestinationCluster
    tracking: TrackingSettings
    instance_name: str
    options: SyncOptions
    windows: Sequence[SyncWindow]
    build: ApplicationBuild
    verdict: Verdict
    resources: Sequence[Object] = ()
    hooks: Sequence[Object] = ()

    @property
    def name(self) -> NamespacedName:
        """Namespace and name."""
        return self.application.key
