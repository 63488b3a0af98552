"""Batches: parts by number and size, order, and halves of a part that ends its process."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream import batches
from gatekeeper.upstream.batches import Call, call_in_halves, call_or_fail, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError


def test_parts_are_small_enough_for_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 10)
    objects = [b"1234", b"1234", b"1234", b"1", b"1", b"1", b"1", b"12345678901234"]
    parts = list(split_batch(objects, len, 3))
    assert parts == [[b"1234", b"1234"], [b"1234", b"1", b"1"], [b"1", b"1"], [b"12345678901234"]]
    assert list(split_batch([4, 4, 4, 20, 1], int, 500)) == [[4, 4], [4], [20], [1]]
    assert list(split_batch([], len, 3)) == []


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_are_in_the_order_of_the_parts(count: int) -> None:
    assert map_parts(lambda part: part * 2, range(count)) == [part * 2 for part in range(count)]


def test_one_item_that_ends_its_process_fails_alone(client: UpstreamClient) -> None:
    made: list[tuple[list[int], bool]] = []

    def call_part(part: Sequence[int], call: Call) -> list[str]:
        made.append((list(part), call == client.call_separately))
        if 5 in part:
            raise WorkerLostError("lost")
        return [str(item) for item in part]

    results = call_in_halves(client, [1, 5, 2, 3], call_part, lambda item, error: f"{item} {error}")
    assert results == ["1", "5 lost", "2", "3"]
    assert made == [([1, 5, 2, 3], False), ([1, 5], True), ([1], True), ([5], True), ([2, 3], True)]


def test_a_refused_call_is_a_failure_of_each_of_its_items(client: UpstreamClient) -> None:
    def call_part(part: Sequence[int], _: Call) -> list[str]:
        raise ToolError("refused") if 3 in part else WorkerLostError("lost")

    assert call_or_fail(client, [1, 2], call_part, str) == ["lost", "lost"]
    assert call_or_fail(client, [1, 3], call_part, str) == ["refused", "refused"]
