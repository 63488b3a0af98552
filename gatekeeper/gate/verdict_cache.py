"""Verdicts of earlier runs, by everything that a verdict depends on.

This module loads in a few milliseconds: a hook whose verdict is cached never loads the engines.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence

from gatekeeper.gate import cache_key, verdict_codec
from gatekeeper.gate.cache_key import CacheInput
from gatekeeper.gate.request import BaseComparison, CheckRequest
from gatekeeper.host.cache import Cache
from gatekeeper.model import Verdict
from gatekeeper.named_tuple import NamedTuple


class CacheKey(NamedTuple):
    """Everything that a verdict depends on; two keys are equal only if all of it is."""

    kind: str
    settings: str
    day: str
    paths: tuple[str, ...] = ()
    changed_files: frozenset[str] | None = None
    shard: str = ""
    commit: str = ""
    is_compared: bool = False
    contents: tuple[bytes, ...] = ()

    def derive(self, cache: Cache) -> str:
        """The name of the entry in a cache."""
        changed = [b"all"] if self.changed_files is None else [b"some", *map(os.fsencode, sorted(self.changed_files))]
        lists = (list(map(os.fsencode, self.paths)), changed, self.contents)
        words = (self.kind, self.settings, self.day, self.shard, self.commit, str(self.is_compared))
        return cache.derive_key([*map(str.encode, words), *_join_lists(lists)])


def _join_lists(lists: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """The items of all lists, each list after its length, so that no item can move from one list to the next."""
    for items in lists:
        yield str(len(items)).encode()
        yield from items


class CacheEntry(NamedTuple):
    """Where the cache keeps the verdict of one request.

    Attributes:
        cache_input: the files of the repository, as far as Git lists them quickly.
        verdict_key: the entry of the verdict.
        index_key: the entry of the incremental index; empty if the request has none (a part, or a shard).
    """

    cache: Cache
    cache_input: CacheInput
    verdict_key: str
    index_key: str

    def read_verdict(self) -> Verdict | None:
        """The verdict of an earlier run on the same input."""
        content = self.cache.read_entry(self.verdict_key)
        return None if content is None else verdict_codec.from_bytes(content)

    def write_verdict(self, verdict: Verdict) -> None:
        """Stores a verdict, unless it can change within the day."""
        if verdict.is_cacheable:
            self.cache.write_entry(self.verdict_key, verdict_codec.to_bytes(verdict))


def find_entry(request: CheckRequest) -> CacheEntry | None:
    """The cache entry of a request; None if nothing may be cached, or the input cannot be listed quickly."""
    cache = request.verdict_cache
    # A verdict with decryption depends on the keys, and keys are not part of a cache key.
    if cache is None or request.private_keys is not None:
        return None
    read_state = request.read_state
    cache_input = cache_key.collect_input(request.root, request.settings, request.staged, read_state)
    if cache_input is None:
        return None
    key = CacheKey("verdict", repr(request.settings), str(datetime.date.today()))
    verdict_key = key._replace(
        paths=tuple(str(path.resolve()) for path in request.paths),
        changed_files=request.changed_files,
        shard=request.shard,
        commit=request.base_commit,
        is_compared=request.base_comparison is not None,
        contents=cache_input.digest_parts,
    )
    index_key = key._replace(kind="index", paths=(str(request.root),), contents=cache_input.surrounding_inputs)
    has_index = verdict_key.paths == (str(request.root.resolve()),) and not request.shard
    return CacheEntry(cache, cache_input, verdict_key.derive(cache), index_key.derive(cache) if has_index else "")


def derive_commit_key(cache: Cache, request: CheckRequest, comparison: BaseComparison) -> str:
    """The entry of the verdict on the base commit, by its own config. The commit determines its files and its config.

    The Rego engine and the programs that render are those of the request.
    """
    contents = tuple(content for path in comparison.extra_paths for content in cache_key.iterate_contents(path))
    paths = tuple(map(str, comparison.extra_paths))
    settings = repr((request.settings.engine, request.settings.toolchain))
    key = CacheKey("commit", settings, str(datetime.date.today()), paths, commit=request.base_commit, contents=contents)
    return key.derive(cache)
