"""The work queue: due times, requeues and back-off."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.controller.runtime.workqueue import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, WorkQueue


def test_a_name_is_taken_once_however_often_it_was_added() -> None:
    queue = WorkQueue[str]()
    for name in ("a", "b", "a", "a"):
        queue.add(name)
    assert [queue.take(), queue.take()] == ["a", "b"] and len(queue) == 0


def test_a_name_added_while_it_is_processed_is_taken_again_afterwards() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"
    queue.mark_done("a")
    assert queue.take() == "a"


def test_the_earliest_due_time_of_a_name_counts() -> None:
    queue = WorkQueue[str]()
    queue.add("later", 0.2)
    queue.add("later", 10)
    queue.add("soon", 10)
    queue.add("soon", 0.05)
    began = time.monotonic()
    assert [queue.take(), queue.take()] == ["soon", "later"]
    assert 0.2 <= time.monotonic() - began < 5


def test_closing_wakes_a_waiting_worker() -> None:
    queue = WorkQueue[str]()
    with ThreadPoolExecutor() as pool:
        taken = pool.submit(queue.take)
        queue.close()
        assert taken.result(5) is None


def test_the_back_off_doubles_up_to_its_maximum() -> None:
    queue = WorkQueue[str]()
    pauses = [queue.next_backoff("a") for _ in range(40)]
    assert (
        pauses[:3] == [FIRST_BACKOFF_SECONDS, 2 * FIRST_BACKOFF_SECONDS, 4 * FIRST_BACKOFF_SECONDS]
        and max(pauses) == pauses[-1] == MAX_BACKOFF_SECONDS
    )
    queue.forget_failures("a")
    assert queue.next_backoff("a") == FIRST_BACKOFF_SECONDS


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.001, 0.003])), max_size=30))
def test_every_added_name_is_processed_and_never_twice_at_once(names: list[tuple[int, float]]) -> None:
    queue, busy, seen, wrong = WorkQueue[int](), set[int](), dict[int, int](), list[int]()
    counting = threading.Lock()

    def work() -> None:
        while (name := queue.take()) is not None:
            with counting:
                wrong.extend([name] if name in busy else [])
                busy.add(name)
                seen[name] = seen.get(name, 0) + 1
            with counting:
                busy.discard(name)
            queue.mark_done(name)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(work) for _ in range(3)]
        for name, after in names:
            queue.add(name, after)
        end = time.monotonic() + 5
        while {name for name, _ in names} - seen.keys() and time.monotonic() < end:
            time.sleep(0.0005)
        queue.close()
        for one in running:
            one.result(5)
    assert not wrong and seen.keys() == {name for name, _ in names}
    assert all(count <= sum(one == name for one, _ in names) for name, count in seen.items())
