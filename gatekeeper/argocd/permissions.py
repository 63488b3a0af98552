"""Where an Application may be applied, and when: as its project says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.argocd import app_project, destination
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.sync.sync_windows import SyncWindow
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import DeniedError
from gatekeeper.model import get_field


class Permissions(NamedTuple):
    """What a project lets an Application do.

    Attributes:
        target: the cluster that it is applied to, with the rights that count there.
        sync_windows: those that are about it.
    """

    project: Object
    target: DestinationCluster
    sync_windows: Sequence[SyncWindow]


def resolve_permissions(
    cluster: DynamicClient, argocd_namespace: str, application: Application, project: Object | None
) -> Permissions:
    """What a project lets an Application do.

    Args:
        argocd_namespace: the namespace of Argo CD's own objects.
        project: the one that it names; None where there is none.

    Raises:
        DeniedError: it is not let do anything.
        FieldError: the project is not valid.
        ToolError: the cluster does not tell, or its destination cannot be reached.
    """
    if project is None:
        name = f"{argocd_namespace}/{application.project}"
        raise DeniedError(f"the AppProject {name} is not there: make it, it says what is permitted")
    there = destination.resolve_cluster(cluster, argocd_namespace, application.destination, application.project)
    refusal = app_project.find_refusal(project, application, argocd_namespace, there.destination)
    if refusal:
        raise DeniedError(refusal)
    if get_field(project, ("spec", "permitOnlyProjectScopedClusters")) and there.owner_project != application.project:
        name = there.destination.name or there.destination.server
        raise DeniedError(f"the project {application.project} permits clusters of its own alone, and {name} is none")
    user = app_project.find_service_account(project, there.destination)
    own = [
        one
        for one in app_project.parse_sync_windows(project)
        if app_project.is_window_for(one, application, there.destination)
    ]
    return Permissions(project, there._replace(cluster=there.cluster.impersonate(user)) if user else there, own)
