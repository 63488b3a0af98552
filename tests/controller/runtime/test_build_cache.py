"""The build cache: snapshots, stale builds and packed objects."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.controller.runtime.build_cache import BuildCache, pack_objects, unpack_objects
from gatekeeper.model import NamespacedName
from gatekeeper.repositories.provenance import CommitProvenance

NAME, OTHER = NamespacedName("ns", "app"), NamespacedName("ns", "other")


class State(NamedTuple):
    number: int
    provenance: CommitProvenance = CommitProvenance()


class Build(NamedTuple):
    fingerprint: object
    objects: bytes


def test_a_snapshot_has_the_state_and_the_build_of_one_store() -> None:
    cache = BuildCache[str, State, Build]()
    assert cache.snapshot("source", NAME) is None and cache.get_state("source") is None
    cache.store("source", State(1), {NAME: Build("a", b"x")})
    snapshot = cache.snapshot("source", NAME)
    assert snapshot is not None and (snapshot.state, snapshot.build) == (State(1), Build("a", b"x"))
    assert not snapshot.is_stale("a") and snapshot.is_stale("b")
    missing = cache.snapshot("source", OTHER)
    assert missing is not None and missing.build is None and missing.is_stale("a")


def test_store_returns_the_builds_whose_objects_are_the_same() -> None:
    cache = BuildCache[str, State, Build]()
    cache.store("source", State(1), {NAME: Build("a", b"x"), OTHER: Build("a", b"y")})
    assert cache.store("source", State(2), {NAME: Build("b", b"x"), OTHER: Build("b", b"z")}) == {NAME}


def test_deleted_sources_and_builds_are_removed_from_the_cache() -> None:
    cache = BuildCache[str, State, Build]()
    cache.store("source", State(1), {NAME: Build("a", b"x")})
    assert not cache.is_stale(NAME, "a")
    cache.forget_build(NAME)
    cache.forget_build(NAME)
    assert cache.is_stale(NAME, "a")
    cache.forget_source("source")
    assert cache.get_state("source") is None


def test_the_provenance_of_an_unknown_source_is_empty() -> None:
    cache, known = BuildCache[str, State, Build](), CommitProvenance(author="Ada")
    cache.store("source", State(1, known), {})
    assert [cache.find_provenance(source) for source in ("source", "other", None)] == [
        known,
        CommitProvenance(),
        CommitProvenance(),
    ]


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5), max_size=3), max_size=5))
def test_packed_objects_are_unpacked_as_they_were(objects: list[Any]) -> None:
    assert unpack_objects(pack_objects(objects)) == objects
