"""When a source is asked for its commit, and when its Kustomizations are reconciled again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gatekeeper import pulls
from gatekeeper.artifacts import reading
from gatekeeper.artifacts.resolving import Revision
from gatekeeper.cluster.objects import Object
from gatekeeper.following import REQUESTED, Following
from gatekeeper.pulls import Source
from tests.reconciling.test_reconcile import flux

FIRST, SECOND = Revision("main", "1" * 40, ""), Revision("main", "2" * 40, "")


def source(kustomization: Object, annotations: dict[str, str] | None = None, **spec: Any) -> Source:
    value = {
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "r", "namespace": "flux-system", "annotations": annotations or {}},
        "spec": {"interval": "5m", "url": "https://example.com/r", **spec},
    }  # fmt: skip
    return Source(value, reading.read(value), [kustomization])


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_a_host_is_asked_once_an_interval_or_when_somebody_asks(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def revision_of(cluster: object, one: reading.GitRepository) -> Revision:
        asked.append(one.url)
        return FIRST

    monkeypatch.setattr(pulls, "revision_of", revision_of)
    following, cluster = Following(), None

    def ask(one: Source) -> int:
        assert one.repository is not None
        following.revision(cluster, one, one.repository)  # type: ignore[arg-type]
        return len(asked)

    one = source(flux())
    assert [ask(one), ask(one)] == [1, 1]
    now[0] += 299
    assert ask(one) == 1
    now[0] += 2
    assert ask(one) == 2
    assert ask(source(flux(), {REQUESTED: "now"})) == 3 and ask(source(flux(), ref={"branch": "x"})) == 4


def test_a_source_is_due_when_something_is_new_or_its_time_is_over(now: list[float]) -> None:
    following, one = Following(), source(flux(interval="10m", retryInterval="1m"))
    assert following.is_due(one, FIRST)
    following.note(one, FIRST, True)
    assert not following.is_due(one, FIRST) and following.is_due(one, SECOND)
    changed = flux(interval="10m", retryInterval="1m")
    changed["metadata"]["generation"] = 2
    assert following.is_due(source(changed), FIRST)
    now[0] += 601
    assert following.is_due(one, FIRST)
    following.note(one, FIRST, False)
    now[0] += 59
    assert not following.is_due(one, FIRST)
    now[0] += 2
    assert following.is_due(one, FIRST)
