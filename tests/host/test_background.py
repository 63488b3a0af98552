"""Calls in a thread of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from gatekeeper.host.background import BackgroundCall, PendingResult


def test_function_runs_while_the_caller_goes_on() -> None:
    go = threading.Event()
    call = BackgroundCall(lambda: go.wait(20))
    go.set()
    assert call.wait_for_result() is True
    assert call.wait_for_result() is True


def test_error_is_raised_to_the_caller_who_waits() -> None:
    call: BackgroundCall[int] = BackgroundCall(lambda: [][0])
    with pytest.raises(IndexError):
        call.wait_for_result()


def test_pending_result_is_what_another_thread_gives() -> None:
    pending: PendingResult[str] = PendingResult()
    giver = BackgroundCall(lambda: pending.succeed("done"))
    assert pending.wait(20) == "done"
    giver.wait_for_result()


def test_pending_result_can_be_an_error_or_late() -> None:
    pending: PendingResult[str] = PendingResult()
    with pytest.raises(TimeoutError):
        pending.wait(0)
    pending.fail(ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        pending.wait(20)


def test_cached_answer_does_not_load_slow_modules() -> None:
    modules = ("logging", "random", "concurrent.futures", "orjson", "dataclasses")
    code = f"import sys, gatekeeper.commands.check; print([name for name in {modules} if name in sys.modules])"
    # What measures coverage in every process loads such modules itself.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment)
    assert shown.stdout == "[]\n"
