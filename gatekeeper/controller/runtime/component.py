"""Watches and loops that begin and end together: what each part of the controller is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.runtime.drift_watch import Owned
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.controller.runtime.worker import Loop


class Crew:
    """Watches and loops.

    Args:
        watches: what is seen.
        loops: what works.
        owned: what was applied; None where nothing is.
    """

    def __init__(
        self,
        watches: Sequence[Reflector[Any]],
        loops: Sequence[Loop[Any]],
        figures: Figures,
        owned: Owned | None = None,
    ) -> None:
        self._all_watches, self._all_loops, self._figures, self._all_owned = watches, loops, figures, owned

    def start(self) -> None:
        """Begins to watch and to work."""
        for watch in self._all_watches:
            watch.start()
        for loop in self._all_loops:
            loop.start()

    @property
    def is_synced(self) -> bool:
        """Whether all that there is was seen once."""
        return all(watch.is_synced.is_set() for watch in self._all_watches)

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""
        return all(loop.is_alive for loop in self._all_loops)

    def stop(self, seconds: float) -> bool:
        """Ends; whether what was worked on came to its end in time."""
        for watch in self._all_watches:
            watch.stop()
        ends = [loop.stop(seconds) for loop in self._all_loops]
        if self._all_owned is not None:
            self._all_owned.stop()
        return all(ends)


def lost(figures: Figures, kind: str, reason: str) -> None:
    """Says that the cluster could not be watched."""
    figures.lost.labels(kind).inc()
    say("warning", reason, controller="watch", kind=kind)
