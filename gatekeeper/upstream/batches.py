"""Batches of calls: parts that are small enough for one call, and halves of a part that ended its process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError

Item = TypeVar("Item")
Result = TypeVar("Result")
# `UpstreamClient.call`, or `call_separately`.
Call = Callable[[str, Mapping[str, Any], float], Any]

MAX_BATCH_BYTES = 4 * 1024 * 1024
# While Go works on one batch, another is encoded and decoded.
CONCURRENT_BATCHES = 2


def split_batch(items: Iterable[Item], measure: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Parts that are small enough for one call; none without items.

    Args:
        measure: the size of an item in bytes.
        most: how many items a part may have.
    """
    part: list[Item] = []
    size = 0
    for item in items:
        if part and (len(part) >= most or size + measure(item) > MAX_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += measure(item)
    if part:
        yield part


def map_parts(call_part: Callable[[Item], Result], parts: Sequence[Item]) -> list[Result]:
    """The result of each part, in their order; a few parts are under way at the same time."""
    if len(parts) <= 1:
        return [call_part(part) for part in parts]
    # It loads `logging`, and a short run has one part.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(CONCURRENT_BATCHES) as pool:
        return list(pool.map(call_part, parts))


def call_in_halves(
    client: UpstreamClient,
    part: Sequence[Item],
    call_part: Callable[[Sequence[Item], Call], list[Result]],
    fail: Callable[[Item, WorkerLostError], Result],
) -> list[Result]:
    """The results of a part; if it ends its process, those of each half of it, so that one item alone fails.

    Args:
        call_part: makes its call with the given function: a half gets a process of its own, because a part that ended a
            process must not end that of others.
        fail: the result of an item that ends the process by itself.
    """

    def call_half(half: Sequence[Item], call: Call) -> list[Result]:
        try:
            return call_part(half, call)
        except WorkerLostError as error:
            if len(half) == 1:
                return [fail(half[0], error)]
        middle = len(half) // 2
        return [
            result
            for quarter in (half[:middle], half[middle:])
            for result in call_half(quarter, client.call_separately)
        ]

    return call_half(part, client.call)


def call_or_fail(
    client: UpstreamClient,
    part: Sequence[Item],
    call_part: Callable[[Sequence[Item], Call], list[Result]],
    fail: Callable[[ToolError], Result],
) -> list[Result]:
    """Like `call_in_halves`; a call that is refused is a failure of each of its items instead of an error.

    Args:
        fail: the result of an item whose call failed.
    """

    def call_half(half: Sequence[Item], call: Call) -> list[Result]:
        try:
            return call_part(half, call)
        except WorkerLostError:
            raise
        except ToolError as error:
            return [fail(error)] * len(half)

    return call_in_halves(client, part, call_half, lambda _, error: fail(error))
