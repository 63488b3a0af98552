"""The client starts the program once, replaces a lost process, and retries a call once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from gatekeeper.upstream.worker import WorkerLostError

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
BATCH = {"apiVersion": "v1", "kind": "ConfigMap", "markers": [], "objects": [CONFIG_MAP]}


def test_the_process_is_reused(client: UpstreamClient) -> None:
    client.call("validate", BATCH, 20)
    first = client.get_worker().pid
    client.call("validate", BATCH, 20)
    assert client.get_worker().pid == first


def test_many_threads_start_one_process(program: Path) -> None:
    made = UpstreamClient(lambda: program, get_program_version())
    pids: set[int] = set()
    threads = [threading.Thread(target=lambda: pids.add(made.get_worker().pid)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.close()
    assert len(pids) == 1


def test_a_call_survives_that_its_process_is_killed(client: UpstreamClient) -> None:
    first = client.get_worker().pid
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    answer = client.call("validate", {**BATCH, "objects": [CONFIG_MAP] * 30_000}, 60)
    assert len(answer) == 30_000
    assert client.get_worker().pid != first


def test_a_process_killed_between_calls_is_replaced(client: UpstreamClient) -> None:
    os.kill(client.get_worker().pid, signal.SIGKILL)
    assert client.call("validate", BATCH, 20) == [{}]


def test_a_call_that_ends_every_process_is_an_error(client: UpstreamClient) -> None:
    with pytest.raises(WorkerLostError, match=r"took longer than 0\.001 seconds"):
        client.call("validate", {**BATCH, "objects": [CONFIG_MAP] * 20_000}, 0.001)
    assert client.call("validate", BATCH, 20) == [{}]


def test_a_program_of_another_version_is_refused_at_every_call(program: Path) -> None:
    made = UpstreamClient(lambda: program, "0.0.1+vother")
    for _ in range(2):
        with pytest.raises(ToolError, match=r"Gatekeeper has 0\.0\.1\+vother; run `gatekeeper tools install"):
            made.call("validate", BATCH, 20)
    made.close()


def test_a_closed_client_starts_another_process(client: UpstreamClient) -> None:
    first = client.get_worker().pid
    client.close()
    assert client.call("validate", BATCH, 20) == [{}]
    assert client.get_worker().pid != first


def test_a_program_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "program"
    script.write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    script.chmod(0o755)
    made = UpstreamClient(lambda: script, "1")
    with pytest.raises(ToolError, match="cannot be used: gatekeeper-upstream ended with status 1"):
        made.call("validate", BATCH, 20)
    made.close()
