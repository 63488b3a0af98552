"""The plan of a fetch: requests of the files against the lock and the cache."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.fetch.plan import FetchPlan, build_plan
from gatekeeper.model import Location
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.model import LockedSources, RequestedSource, SourcePin, SourceRequest
from gatekeeper.sources.source_cache import SourceCache


def request(chart: str, line: int = 1) -> RequestedSource:
    address = "https://charts.example.com"
    source = SourceRequest("helm", address, SecretBytes(address.encode()), chart, (("", "1.x"),))
    return RequestedSource(source, Location("a.yaml", line))


def plan(tmp_path: Path, requests: list[RequestedSource], *locked: str, fetched: str = "") -> FetchPlan:
    cache = SourceCache(tmp_path)
    digests = {name: SourceCache(tmp_path / "other").add(name.encode()) for name in locked}
    for name in filter(None, [fetched]):
        assert cache.add(name.encode()) == digests[name]
    pins = {request(name).request.key: SourcePin("1.0.0", "", digest) for name, digest in digests.items()}
    return build_plan(requests, LockedSources(pins, is_locked=True), cache)


def key(chart: str) -> str:
    return request(chart).request.key


def test_requests_without_a_pin_are_unlocked_once(tmp_path: Path) -> None:
    found = plan(tmp_path, [request("web", 7), request("web", 3), request("db")])
    assert found.unlocked == (key("db"), key("web")) and found.is_stale
    # The first place, in the order of the files, stands for all.
    assert found.requests[key("web")].location.line == 3


def test_pins_without_a_request_are_unused(tmp_path: Path) -> None:
    found = plan(tmp_path, [request("web")], "web", "db", fetched="web")
    assert (found.unlocked, found.unused, found.absent) == ((), (key("db"),), ()) and found.is_stale


def test_pins_without_bytes_are_absent(tmp_path: Path) -> None:
    found = plan(tmp_path, [request("web"), request("db")], "web", "db", fetched="web")
    assert (found.unlocked, found.unused, found.absent) == ((), (), (key("db"),)) and not found.is_stale


def test_a_whole_lock_needs_nothing(tmp_path: Path) -> None:
    found = plan(tmp_path, [request("web")], "web", fetched="web")
    assert not (found.is_stale or found.absent)
