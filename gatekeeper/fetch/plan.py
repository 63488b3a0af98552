"""What `gatekeeper fetch` has to do: the requests of the repository's files against the pins of the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sources.model import LockedSources, RequestedSource
from gatekeeper.sources.source_cache import SourceCache


class FetchPlan(NamedTuple):
    """The state of the sources, by the keys of the lock.

    Attributes:
        requests: all requests, each with the first place that makes it.
        unlocked: requests without a pin.
        unused: pins without a request.
        absent: requests with a pin, of which the bytes are not in the cache.
    """

    requests: Mapping[str, RequestedSource]
    unlocked: tuple[str, ...]
    unused: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether the lock does not fit the files."""
        return bool(self.unlocked or self.unused)


def build_plan(requested: Iterable[RequestedSource], locked: LockedSources, cache: SourceCache) -> FetchPlan:
    """Compares the requests of the files with the lock and the cache."""
    requests: dict[str, RequestedSource] = {}
    for one in sorted(requested, key=lambda one: (one.location.file, one.location.line or 0)):
        requests.setdefault(one.request.key, one)
    return FetchPlan(
        requests,
        unlocked=tuple(sorted(key for key in requests if key not in locked.pins)),
        unused=tuple(sorted(key for key in locked.pins if key not in requests)),
        absent=tuple(sorted(key for key, pin in locked.pins.items() if key in requests and not cache.has(pin.digest))),
    )
