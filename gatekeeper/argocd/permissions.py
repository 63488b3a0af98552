"""Where and when an Application may be applied, by the rules of its AppProject."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.argocd import app_project, destination
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.sync.sync_windows import SyncWindow
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import DeniedError
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple


class Permissions(NamedTuple):
    """What a project permits one of its Applications.

    Attributes:
        target: the destination cluster, with the rights that the project grants there.
        sync_windows: those that apply to the Application.
    """

    project: Object
    target: DestinationCluster
    sync_windows: Sequence[SyncWindow]


def resolve_permissions(
    cluster: DynamicClient, argocd_namespace: str, application: Application, project: Object | None
) -> Permissions:
    """Connect to the destination of an Application, if its project permits it.

    Args:
        argocd_namespace: namespace of Argo CD's own objects.
        project: the AppProject that the Application names; None if it does not exist.

    Raises:
        DeniedError: the project is missing, or does not permit the Application.
        FieldError: a sync window of the project is invalid.
        ToolError: the cluster does not answer, or the destination cannot be used.
    """
    if project is None:
        name = f"{argocd_namespace}/{application.project}"
        raise DeniedError(f"AppProject {name} not found: create it; it defines what the Application may deploy")
    target = destination.resolve_cluster(cluster, argocd_namespace, application.destination, application.project)
    refusal = app_project.find_refusal(project, application, argocd_namespace, target.destination)
    if refusal:
        raise DeniedError(refusal)
    if get_field(project, ("spec", "permitOnlyProjectScopedClusters")) and target.owner_project != application.project:
        name = target.destination.name or target.destination.server
        raise DeniedError(
            f"the project {application.project} permits only its own clusters: set `project` in the Secret of {name}"
        )
    user = app_project.find_service_account(project, target.destination)
    if user:
        target = target._replace(cluster=target.cluster.impersonate(user))
    windows = [
        window
        for window in app_project.parse_sync_windows(project)
        if app_project.is_window_for(window, application, target.destination)
    ]
    return Permissions(project, target, windows)
