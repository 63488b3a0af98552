"""An Application at hand, with all that counts for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatekeeper.applications.destinations import There
from gatekeeper.applications.model import Asked
from gatekeeper.applications.options import Options
from gatekeeper.applications.reading import Application
from gatekeeper.applications.tracking import Tracking
from gatekeeper.applications.windows import Window
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.speaking import Figures
from gatekeeper.model import Verdict
from gatekeeper.reconciling.budget import Budget
from gatekeeper.reconciling.model import Act


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
