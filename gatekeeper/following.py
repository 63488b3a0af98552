"""When a source of a cluster is reconciled again: at once where something is new, else when its time is over."""

from __future__ import annotations

import time

from gatekeeper import pulls
from gatekeeper.artifacts.reading import GitRepository
from gatekeeper.artifacts.resolving import Revision
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.fields import FieldError, Fields
from gatekeeper.model import at

MINUTE = 60.0
# Whoever writes another moment there asks for it.
REQUESTED = "reconcile.fluxcd.io/requestedAt"


class Following:
    """What was done of each source, so that nothing is done again before it is due."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[object, float]] = {}
        self._known: dict[str, tuple[object, float, Revision]] = {}

    def revision(self, cluster: Objects, source: pulls.Source, repository: GitRepository) -> Revision:
        """Which commit a source means: asked of its host once an interval, or when it was changed or somebody asks.

        Raises:
            ToolError: see `pulls.revision_of`.
        """
        state = (at(source.value, ("spec",)), at(source.value, ("metadata", "annotations", REQUESTED)))
        known = self._known.get(source.name)
        if known is not None and known[0] == state and time.monotonic() < known[1]:
            return known[2]
        found = pulls.revision_of(cluster, repository)
        self._known[source.name] = (state, time.monotonic() + repository.interval, found)
        return found

    def is_due(self, source: pulls.Source, revision: Revision) -> bool:
        """Whether it is of another commit, its Kustomizations have changed, somebody asks for it, or time is over."""
        done = self._done.get(source.name)
        return done is None or done[0] != self._state(source, revision) or time.monotonic() >= done[1]

    def note(self, source: pulls.Source, revision: Revision, is_ready: bool) -> None:
        """Notes that it was done; what is not ready is done again sooner."""
        waits = [_seconds(one, "interval" if is_ready else "retryInterval") for one in source.kustomizations]
        self._done[source.name] = (self._state(source, revision), time.monotonic() + min(waits, default=MINUTE))

    @staticmethod
    def _state(source: pulls.Source, revision: Revision) -> object:
        asks = [at(one, ("metadata", "annotations", REQUESTED)) for one in source.kustomizations]
        return str(revision), [at(one, ("metadata", "generation")) for one in source.kustomizations], asks


def _seconds(kustomization: Object, name: str) -> float:
    fields = Fields(kustomization["spec"])
    try:
        return fields.seconds(name, 0.0) or fields.seconds("interval", MINUTE)
    except FieldError:
        return MINUTE
