"""What the controller knows of GitRepositories, and what their Kustomizations apply, rendered and judged.

Workers of GitRepositories write it while workers of Kustomizations read it: every access holds one lock.
"""

from __future__ import annotations

import datetime
import threading
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from gatekeeper.apply.model import ApplySet
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import Verdict
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes


class RepositoryState(NamedTuple):
    """What is known of a GitRepository.

    Attributes:
        commits: its commit, and those of the repositories that it includes.
        spec: the `spec` that it was fetched with.
        judged_on: the day of its verdict: a waiver may expire on the next one.
        provenance: author, signer and pull request of the commit.
    """

    revision: Revision
    commits: list[str]
    spec: object
    judged_on: datetime.date
    provenance: CommitProvenance = CommitProvenance()


class PackedBuild(NamedTuple):
    """What a Kustomization applies, rendered, judged and compressed.

    Attributes:
        fingerprint: commits, day, uid and generation, and the versions of the objects that values came from.
        verdict: on the repository, and on what the Kustomization applies.
        kustomization, objects: compressed JSON.
    """

    fingerprint: object
    verdict: Verdict
    kustomization: bytes
    objects: bytes
    folder: str
    render_error: str
    secret_values: tuple[SecretBytes, ...]
    toolchain: Toolchain

    def unpack(self) -> ApplySet:
        """The build as it was packed."""
        kustomization, objects = (orjson.loads(zlib.decompress(data)) for data in (self.kustomization, self.objects))
        return ApplySet(kustomization, self.folder, objects, self.render_error, self.secret_values, self.toolchain)


def pack(build: ApplySet, fingerprint: object, verdict: Verdict) -> PackedBuild:
    """Compresses a build."""
    kustomization, objects = (zlib.compress(orjson.dumps(value), 1) for value in (build.parent, list(build.objects)))
    return PackedBuild(
        fingerprint,
        verdict,
        kustomization,
        objects,
        build.folder,
        build.render_error,
        build.secret_values,
        build.toolchain,
    )


class RepositorySnapshot(NamedTuple):
    """The state of a GitRepository and the build of one of its Kustomizations, read at the same moment.

    Attributes:
        build: None where the Kustomization is not rendered yet.
    """

    state: RepositoryState
    build: PackedBuild | None


class RepositoryCache:
    """The states of all GitRepositories and the builds of all Kustomizations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[NamespacedName, RepositoryState] = {}
        self._builds: dict[NamespacedName, PackedBuild] = {}

    def get_state(self, repository: NamespacedName) -> RepositoryState | None:
        """The state of a GitRepository; None before it was fetched and judged."""
        with self._lock:
            return self._states.get(repository)

    def get_fingerprint(self, kustomization: NamespacedName) -> object:
        """What a Kustomization was rendered from; None where it is not rendered yet."""
        with self._lock:
            build = self._builds.get(kustomization)
            return build.fingerprint if build is not None else None

    def snapshot(self, repository: NamespacedName, kustomization: NamespacedName) -> RepositorySnapshot | None:
        """The state of a GitRepository with the build of a Kustomization; None before the former was judged."""
        with self._lock:
            state = self._states.get(repository)
            return RepositorySnapshot(state, self._builds.get(kustomization)) if state is not None else None

    def store(
        self, repository: NamespacedName, state: RepositoryState, builds: Mapping[NamespacedName, PackedBuild]
    ) -> set[NamespacedName]:
        """Replaces a state and some builds; returns the Kustomizations that apply the same objects as before."""
        with self._lock:
            unchanged = {
                name
                for name, build in builds.items()
                if (previous := self._builds.get(name)) is not None and previous.objects == build.objects
            }
            self._states[repository] = state
            self._builds.update(builds)
            return unchanged

    def forget_repository(self, repository: NamespacedName) -> None:
        """Drops the state of a deleted GitRepository."""
        with self._lock:
            self._states.pop(repository, None)

    def forget_kustomization(self, kustomization: NamespacedName) -> None:
        """Drops the build of a deleted Kustomization."""
        with self._lock:
            self._builds.pop(kustomization, None)
