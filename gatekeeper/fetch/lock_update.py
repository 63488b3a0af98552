"""Fetches what a repository takes from elsewhere, and pins it in the lock.

What is fetched can name further sources, so the repository is rendered again until it names no new one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.fetch.plan import FetchPlan, build_plan
from gatekeeper.model import Location
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import pipeline
from gatekeeper.sources.model import LockedSources, SourcePin, SourceRequest
from gatekeeper.sources.source_cache import SourceCache

# Charts and bases that name others; more rounds than this are a source that names new ones without end.
MAX_ROUNDS = 10


class WantedSource(NamedTuple):
    """A source to fetch: any version that the request permits, or exactly the pinned bytes."""

    request: SourceRequest
    pin: SourcePin | None


class DownloadedSource(NamedTuple):
    """The result of a download: a pin, or a sentence with the reason of the failure."""

    request: SourceRequest
    pin: SourcePin | None
    fault: str = ""


# Fetches sources, and returns each as soon as it is in the cache.
Download = Callable[[Sequence[WantedSource]], Iterator[DownloadedSource]]


class LockChange(NamedTuple):
    """A pin that is new, moved or removed; None for the side that does not have it."""

    key: str
    before: SourcePin | None
    after: SourcePin | None


class FetchFault(NamedTuple):
    """A source that could not be fetched, and the place that requests it."""

    key: str
    location: Location
    reason: str


class LockUpdate(NamedTuple):
    """The result of a fetch; `restored` are sources whose bytes were missing on this machine."""

    plan: FetchPlan
    pins: dict[str, SourcePin]
    changes: list[LockChange]
    restored: list[str]
    faults: list[FetchFault]


def collect_plan(root: Path, config: Config, cache: SourceCache) -> FetchPlan:
    """What the files of a repository request, as far as it can be rendered with what is fetched."""
    return build_plan(pipeline.render_repository(root, config).requests, config.sources, cache)


def fetch_sources(
    root: Path,
    config: Config,
    cache: SourceCache,
    download: Download,
    moved: Callable[[str, SourceRequest], bool] = lambda key, request: False,
) -> LockUpdate:
    """Fetches every source that is not locked or not in the cache; pins without a request are dropped.

    Args:
        moved: whether a source that is locked is resolved again, by its key and request.
    """
    before = config.sources.pins
    pins, faults, restored = dict(before), dict[str, FetchFault](), list[str]()
    resolved: set[str] = set()
    for _ in range(MAX_ROUNDS):
        config = config._replace(sources=LockedSources(pins, is_locked=True))
        plan = collect_plan(root, config, cache)
        wanted = list(_select_sources(plan, pins, moved, faults.keys() | resolved))
        for fetched in download(wanted) if wanted else ():
            key = fetched.request.key
            resolved.add(key)
            if fetched.pin is None:
                faults[key] = FetchFault(key, plan.requests[key].location, fetched.fault)
            else:
                restored.extend([key] if pins.get(key) == fetched.pin and key in plan.absent else [])
                pins[key] = fetched.pin
        if not wanted:
            break
    # A source that could not be fetched keeps its pin; what it requests is unknown, so no pin is dropped with it.
    kept = {key: pin for key, pin in pins.items() if key in plan.requests or faults}
    return LockUpdate(plan, kept, _list_changes(before, kept), restored, list(faults.values()))


def _select_sources(
    plan: FetchPlan,
    pins: dict[str, SourcePin],
    moved: Callable[[str, SourceRequest], bool],
    done: Collection[str],
) -> Iterator[WantedSource]:
    for key, (request, _) in plan.requests.items():
        if key in done:
            continue
        if key in plan.unlocked or moved(key, request):
            yield WantedSource(request, None)
        elif key in plan.absent:
            yield WantedSource(request, pins[key])


def _list_changes(before: Mapping[str, SourcePin], after: Mapping[str, SourcePin]) -> list[LockChange]:
    keys = sorted(before.keys() | after.keys())
    return [LockChange(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
