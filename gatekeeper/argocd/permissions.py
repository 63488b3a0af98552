"""Where an Application may be applied, and when: as its project says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.argocd import app_project, destination
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import There
from gatekeeper.argocd.sync.sync_windows import Window
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import SealError
from gatekeeper.model import at


class Permit(NamedTuple):
    """What a project lets an Application do.

    Attributes:
        there: the cluster that it is applied to, with the rights that count there.
        windows: those that are about it.
    """

    project: Object
    there: There
    windows: Sequence[Window]


def permit(cluster: Objects, home: str, application: Application, project: Object | None) -> Permit:
    """What a project lets an Application do.

    Args:
        home: the namespace of Argo CD's own objects.
        project: the one that it names; None where there is none.

    Raises:
        SealError: it is not let do anything.
        FieldError: the project is not valid.
        ToolError: the cluster does not tell, or its destination cannot be reached.
    """
    if project is None:
        name = f"{home}/{application.project}"
        raise SealError(f"the AppProject {name} is not there: make it, it says what is permitted")
    there = destination.there(cluster, home, application.destination, application.project)
    refusal = app_project.refusal(project, application, home, there.destination)
    if refusal:
        raise SealError(refusal)
    if at(project, ("spec", "permitOnlyProjectScopedClusters")) and there.owner != application.project:
        name = there.destination.name or there.destination.server
        raise SealError(f"the project {application.project} permits clusters of its own alone, and {name} is none")
    user = app_project.account(project, there.destination)
    own = [one for one in app_project.windows(project) if app_project.is_for(one, application, there.destination)]
    return Permit(project, there._replace(cluster=there.cluster.acting(user)) if user else there, own)
