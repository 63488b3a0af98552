"""The client starts the program once, replaces a lost process, and retries a call once."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from gatekeeper.upstream.worker import LateCallError, WorkerLostError
from tests.upstream.programs import HELLO, Fake

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


# Answers `good`, is lost on `kill`, and never answers `hang`.
FRAGILE = f"""{HELLO}
while True:
    request = read()
    if request["call"] == "kill":
        os._exit(9)
    if request["call"] == "late":
        write({{"id": request["id"], "error": "late", "late": True, "hung": True}})
    if request["call"] == "good":
        write({{"id": request["id"], "result": request["payload"]["number"]}})
"""


@pytest.fixture
def fragile(fake: Fake) -> Iterator[UpstreamClient]:
    path = fake(FRAGILE)
    made = UpstreamClient(lambda: path, "1")
    yield made
    made.close()


def test_an_innocent_call_never_fails_because_of_others(fragile: UpstreamClient) -> None:
    """However many calls end the process beside it: its second attempt has a process of its own."""

    def ask(number: int) -> object:
        name = {0: "kill", 1: "late"}.get(number % 3, "good")
        try:
            return fragile.call(name, {"number": number}, 30)
        except WorkerLostError:
            return name

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(60)))
    assert answers == [{0: "kill", 1: "late"}.get(number % 3, number) for number in range(60)]


def test_a_late_call_that_was_alone_is_not_repeated(fragile: UpstreamClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragile, "_run_separately", lambda *calls: pytest.fail("it was repeated"))
    with pytest.raises(LateCallError):
        fragile.call("late", {}, 30)


def test_a_child_process_has_a_process_of_its_own(program: Path) -> None:
    """After a fork the parent's goes on, although another thread uses it at the fork."""
    code = f"""
import os, threading
from pathlib import Path
from gatekeeper.upstream.client import UpstreamClient, get_program_version
client = UpstreamClient(lambda: Path({str(program)!r}), get_program_version())
first = client.get_worker().pid
many = threading.Thread(target=client.call, args=("validate", {{**{BATCH!r}, "objects": [{CONFIG_MAP!r}] * 5000}}, 60))
many.start()
child = os.fork()
if child == 0:
    answer = client.call("validate", {BATCH!r}, 20)
    print(answer, client.get_worker().pid != first, flush=True)
    client.close()
    os._exit(0)
os.waitpid(child, 0)
many.join()
print(client.call("validate", {BATCH!r}, 20), client.get_worker().pid == first)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.returncode) == ("[{}] True\n[{}] True\n", 0), done.stderr


def test_the_process_ends_with_the_program_that_started_it(program: Path) -> None:
    """Also when that one is killed, and a child of it lives on."""
    code = f"""
import os, sys, time
from pathlib import Path
from gatekeeper.upstream.client import UpstreamClient, get_program_version
client = UpstreamClient(lambda: Path({str(program)!r}), get_program_version())
pid = client.get_worker().pid
if os.fork() == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watched = os.pidfd_open(pid)
        parent.kill()
        ended, _, _ = select.select([watched], [], [], 60)
        os.close(watched)
        os.killpg(parent.pid, signal.SIGKILL)
    assert ended
