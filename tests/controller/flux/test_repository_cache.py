"""The cache hands out a state and a build that belong together."""

from __future__ import annotations

import datetime
from typing import Any

from gatekeeper.apply.model import ApplySet
from gatekeeper.controller.flux import repository_cache
from gatekeeper.controller.flux.repository_cache import RepositoryCache, RepositoryState
from gatekeeper.model import NamespacedName, Verdict
from gatekeeper.repositories.revision import Revision

REPOSITORY, NAME = NamespacedName("flux-system", "r"), NamespacedName("flux-system", "apps")
KUSTOMIZATION: dict[str, Any] = {"metadata": {"namespace": "flux-system", "name": "apps"}}
REVISION = Revision("main", "a" * 40, "refs/heads/main")
STATE = RepositoryState(REVISION, ["a" * 40], {}, datetime.date(2026, 1, 1))


def test_snapshot_has_state_and_build_of_the_same_store() -> None:
    cache = RepositoryCache()
    assert cache.snapshot(REPOSITORY, NAME) is None and cache.is_stale(NAME, "fingerprint")
    packed = repository_cache.pack(ApplySet(KUSTOMIZATION, "apps", [{"kind": "A"}]), "fingerprint", Verdict())
    assert cache.store(REPOSITORY, STATE, {NAME: packed}) == set()
    snapshot = cache.snapshot(REPOSITORY, NAME)
    assert snapshot is not None and snapshot.build is not None and snapshot.state == STATE
    assert snapshot.build.unpack() == ApplySet(KUSTOMIZATION, "apps", [{"kind": "A"}])
    assert cache.store(REPOSITORY, STATE, {NAME: packed}) == {NAME}
    cache.forget_build(NAME)
    assert cache.snapshot(REPOSITORY, NAME) == (STATE, None)
    cache.forget_source(REPOSITORY)
    assert cache.snapshot(REPOSITORY, NAME) is None
