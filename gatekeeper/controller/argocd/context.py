"""An Application at hand, with all that counts for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatekeeper.apply.model import Act
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import There
from gatekeeper.argocd.model import Asked
from gatekeeper.argocd.resource_tracking import Tracking
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.argocd.sync.sync_windows import Window
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.model import Verdict


class Place(NamedTuple):
    """In what Applications are worked on.

    Attributes:
        home: the namespace of Argo CD's own objects.
        mark: how objects are marked; as it was at the start.
        note: see `Round.note`.
    """

    cluster: Objects
    home: str
    mark: Tracking
    budget: Budget
    note: Callable[[Act], None]
    figures: Figures


class Case(NamedTuple):
    """An Application at hand, with all that counts for it.

    Attributes:
        value: as it is in the cluster now.
        there: the cluster that it is applied to, with the rights that count there.
        app: the name that objects are marked with.
        windows: those that are about it.
        plain, hooks: what it applies.
    """

    place: Place
    value: Object
    application: Application
    there: There
    mark: Tracking
    app: str
    general: Options
    windows: Sequence[Window]
    asked: Asked
    verdict: Verdict
    plain: Sequence[Object] = ()
    hooks: Sequence[Object] = ()

    @property
    def name(self) -> Name:
        """Namespace and name."""
        return self.application.key
