"""The cache of GitRepositories, and of the rendered and checked objects of their Kustomizations."""

from __future__ import annotations

import datetime

from gatekeeper.apply.model import ApplySet
from gatekeeper.controller.runtime.build_cache import BuildCache, Snapshot, pack_objects, unpack_objects
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.model import NamespacedName, Verdict
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes


class RepositoryState(NamedTuple):
    """What is known of a GitRepository.

    Attributes:
        commits: its commit, and those of the repositories that it includes.
        spec: the `spec` that it was fetched with.
        checked_on: the day of its verdict: a waiver may expire on the next one.
        provenance: author, signer and pull request of the commit.
    """

    revision: Revision
    commits: list[str]
    spec: object
    checked_on: datetime.date
    provenance: CommitProvenance = CommitProvenance()


class PackedKustomization(NamedTuple):
    """The objects of a Kustomization: rendered, checked and compressed.

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
        [kustomization], objects = unpack_objects(self.kustomization), unpack_objects(self.objects)
        return ApplySet(
            parent=kustomization,
            folder=self.folder,
            objects=objects,
            render_error=self.render_error,
            secret_values=self.secret_values,
            toolchain=self.toolchain,
        )


def pack(build: ApplySet, fingerprint: object, verdict: Verdict) -> PackedKustomization:
    """Compresses a build."""
    return PackedKustomization(
        fingerprint=fingerprint,
        verdict=verdict,
        kustomization=pack_objects([build.parent]),
        objects=pack_objects(build.objects),
        folder=build.folder,
        render_error=build.render_error,
        secret_values=build.secret_values,
        toolchain=build.toolchain,
    )


RepositorySnapshot = Snapshot[RepositoryState, PackedKustomization]
RepositoryCache = BuildCache[NamespacedName, RepositoryState, PackedKustomization]
