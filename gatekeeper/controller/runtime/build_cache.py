"""Thread-safe cache of sources and of what was rendered from them, for one controller.

Workers that refresh sources write it, workers that reconcile Kustomizations or Applications read it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import orjson

from gatekeeper.controller.runtime.log import log_event
from gatekeeper.model import NamespacedName, Verdict
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.provenance import CommitProvenance

COMPRESSION_LEVEL = 1


class PackedBuild(Protocol):
    """A rendered Kustomization or Application, kept small."""

    @property
    def fingerprint(self) -> object:
        """The inputs it was rendered from; compared by equality."""

    @property
    def objects(self) -> bytes:
        """The objects it applies, packed by `pack_objects`."""


class FetchedState(Protocol):
    """What is known of a source after a refresh."""

    @property
    def provenance(self) -> CommitProvenance:
        """Author, signer and pull request of its commit; empty where unknown."""


SourceKey = TypeVar("SourceKey")
SourceState = TypeVar("SourceState", bound=FetchedState)
Build = TypeVar("Build", bound=PackedBuild)


class Snapshot(NamedTuple, Generic[SourceState, Build]):
    """The state of a source and one build from it, read together.

    Attributes:
        build: None if it is not rendered yet.
    """

    state: SourceState
    build: Build | None

    def is_stale(self, fingerprint: object) -> bool:
        """Whether the build is missing, or was rendered from other inputs than these."""
        return self.build is None or self.build.fingerprint != fingerprint


class BuildCache(Generic[SourceKey, SourceState, Build]):
    """The latest state of each source, and the latest build of each Kustomization or Application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[SourceKey, SourceState] = {}
        self._builds: dict[NamespacedName, Build] = {}

    def get_state(self, source: SourceKey) -> SourceState | None:
        """Return the state of a source; None before its first refresh."""
        with self._lock:
            return self._states.get(source)

    def find_provenance(self, source: SourceKey | None) -> CommitProvenance:
        """Return author, signer and pull request of the commit of a source; empty where it is not known."""
        state = self.get_state(source) if source is not None else None
        return state.provenance if state is not None else CommitProvenance()

    def snapshot(self, source: SourceKey, name: NamespacedName) -> Snapshot[SourceState, Build] | None:
        """Return the state of a source with one build; None before the source's first refresh."""
        with self._lock:
            state = self._states.get(source)
            return Snapshot(state, self._builds.get(name)) if state is not None else None

    def is_stale(self, name: NamespacedName, fingerprint: object) -> bool:
        """Whether a build is missing, or was rendered from other inputs than these."""
        with self._lock:
            build = self._builds.get(name)
        return build is None or build.fingerprint != fingerprint

    def store(
        self, source: SourceKey, state: SourceState, builds: Mapping[NamespacedName, Build]
    ) -> set[NamespacedName]:
        """Replace the state of a source and some builds.

        Returns:
            The names whose objects are the same as before.
        """
        with self._lock:
            unchanged = {
                name
                for name, build in builds.items()
                if (previous := self._builds.get(name)) is not None and previous.objects == build.objects
            }
            self._states[source] = state
            self._builds.update(builds)
            return unchanged

    def forget_source(self, source: SourceKey) -> None:
        """Drop the state of a source that nothing uses any more."""
        with self._lock:
            self._states.pop(source, None)

    def forget_build(self, name: NamespacedName) -> None:
        """Drop a build, so that the next refresh renders it."""
        with self._lock:
            self._builds.pop(name, None)


def pack_objects(objects: Sequence[Any]) -> bytes:
    """Pack objects as compressed JSON."""
    return zlib.compress(orjson.dumps(list(objects)), COMPRESSION_LEVEL)


def unpack_objects(packed: bytes) -> list[Any]:
    """Unpack what `pack_objects` packed."""
    objects: list[Any] = orjson.loads(zlib.decompress(packed))
    return objects


def log_verdict(controller: str, name: str, revision: str, verdict: Verdict, seconds: float) -> None:
    """Log the verdict on one revision of a source.

    Args:
        name: of the source.
        seconds: how long the check took.
    """
    log_event(
        "info",
        f"verdict: {verdict.decision}",
        controller=controller,
        object=name,
        revision=revision,
        findings=len(verdict.active_findings),
        seconds=round(seconds, 3),
    )
