"""One process: frames, deadlines, memory, and what becomes of calls when it is killed, hangs or answers garbage."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream import worker as module
from gatekeeper.upstream.client import get_program_version
from gatekeeper.upstream.frames import encode_frame
from gatekeeper.upstream.worker import LateCallError, UpstreamWorker, WorkerLostError
from tests.upstream.programs import HELLO, Fake

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
BATCH = {"apiVersion": "v1", "kind": "ConfigMap", "markers": [], "objects": [CONFIG_MAP]}
MANY = {**BATCH, "objects": [CONFIG_MAP] * 50_000}


@pytest.fixture
def worker(program: Path) -> Iterator[UpstreamWorker]:
    made = UpstreamWorker(program, get_program_version(), "1.36")
    yield made
    made.close()


def test_an_answer_belongs_to_its_call(worker: UpstreamWorker) -> None:
    answers: dict[int, object] = {}

    def ask(size: int) -> None:
        answers[size] = worker.call("validate", {**BATCH, "objects": [CONFIG_MAP] * size}, 30)

    threads = [threading.Thread(target=ask, args=(size,)) for size in (2000, 1, 300, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {size: len(answer) for size, answer in answers.items() if isinstance(answer, list)} == {
        size: size for size in (2000, 1, 300, 20)
    }


def test_a_refused_call_is_an_error_and_the_process_goes_on(worker: UpstreamWorker) -> None:
    with pytest.raises(ToolError, match='there is no call "fetch"'):
        worker.call("fetch", {}, 10)
    assert worker.call("validate", BATCH, 10) == [{}]


def test_another_version_is_refused(program: Path) -> None:
    with pytest.raises(ToolError, match=r"has version .*, and Gatekeeper has 9\.9\.9; run `gatekeeper tools install"):
        UpstreamWorker(program, "9.9.9", "1.36")


@pytest.mark.parametrize(("asked", "emulated"), [("1.34", "1.34"), ("1.25", "1.33"), ("1.99", "1.36"), ("", "1.36")])
def test_the_nearest_version_of_kubernetes_is_emulated(program: Path, asked: str, emulated: str) -> None:
    made = UpstreamWorker(program, get_program_version(), asked)
    assert made.kubernetes == emulated
    made.close()


def test_a_killed_process_fails_its_calls(worker: UpstreamWorker) -> None:
    threading.Timer(0.3, os.kill, (worker.pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerLostError, match="ended with status -9"):
        worker.call("validate", MANY, 60)
    assert worker.is_lost


def test_a_hanging_process_is_killed_at_the_deadline(worker: UpstreamWorker) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(WorkerLostError, match=r"took longer than 0\.5 seconds"):
        worker.call("validate", MANY, 0.5)
    assert time.monotonic() - start < 10
    assert worker.is_lost


def test_a_process_that_needs_too_much_memory_ends(program: Path) -> None:
    made = UpstreamWorker(program, get_program_version(), "1.36", memory=120 * 2**20)
    large = {**CONFIG_MAP, "data": {f"key-{number}": "x" * 100 for number in range(1000)}}
    with pytest.raises(WorkerLostError, match="memory"):
        made.call("validate", {**BATCH, "objects": [large] * 1200}, 60)
    made.close()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.stdout.write('hello, world, this is no frame'); sys.stdout.flush(); time.sleep(60)", "no answer"),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\x02no'); sys.stdout.flush(); time.sleep(60)", "no answer"),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\x02{}'); sys.stdout.flush(); time.sleep(60)", "no answer"),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\x08{\"id\":9}'); sys.stdout.flush(); time.sleep(60)", "no answer"),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\x08{\"id\":1}'); sys.stdout.flush(); time.sleep(60)", "hello"),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\x40{\"id\":1'); sys.stdout.flush(); sys.exit(0)", "no answer"),
        ("sys.stdout.buffer.write(b'\\0\\0'); sys.stdout.flush(); sys.exit(0)", "no answer"),
        ("os.close(1); time.sleep(60)", "closed its output"),
        ("sys.exit(7)", "ended with status 7"),
    ],
)
def test_garbage_is_an_error(fake: Fake, code: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        UpstreamWorker(fake(code), "1", "1.36")


def test_a_process_that_never_says_hello_is_ended(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    with pytest.raises(ToolError, match=r"took longer than 0\.3 seconds"):
        UpstreamWorker(fake("time.sleep(60)"), "1", "1.36")


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started: No such file"):
        UpstreamWorker(tmp_path / "missing", "1", "1.36")


def test_the_process_gets_nothing_of_the_user(worker: UpstreamWorker) -> None:
    """Neither the environment nor the working folder nor any file that is open here."""
    process = Path("/proc") / str(worker.pid)
    assert (process / "environ").read_bytes() == b""
    assert str((process / "cwd").readlink()).endswith(" (deleted)")
    targets = {str(entry.readlink()).partition(":")[0] for entry in (process / "fd").iterdir()}
    # Go reads from the last how many cores it may use.
    others = {target for target in targets if not target.startswith("/sys/fs/cgroup/")}
    assert others <= {"pipe", "anon_inode", "/dev/null"}


def test_the_process_can_open_no_file(worker: UpstreamWorker) -> None:
    worker.call("validate", BATCH, 10)
    limits = (Path("/proc") / str(worker.pid) / "limits").read_text()
    open_files = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()
    assert int(open_files[3]) <= len(list((Path("/proc") / str(worker.pid) / "fd").iterdir())) + 1


def test_the_process_ends_with_its_input(worker: UpstreamWorker) -> None:
    pid = worker.pid
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_large_object_is_carried(worker: UpstreamWorker) -> None:
    large = {**CONFIG_MAP, "data": {"text": "x" * 2_000_000}}
    [answer] = worker.call("validate", {**BATCH, "objects": [large]}, 20)
    assert answer["findings"][0]["type"] == "FieldValueTooLong", orjson.dumps(answer)[:200]


def test_a_late_call_fails_alone(worker: UpstreamWorker) -> None:
    """The program answers it itself, so that the calls beside it go on."""
    answers: list[object] = []
    beside = threading.Thread(target=lambda: answers.append(worker.call("validate", MANY, 60)))
    beside.start()
    with pytest.raises(LateCallError, match=r"took longer than 0\.001 seconds"):
        worker.call("validate", MANY, 0.001)
    beside.join()
    assert isinstance(answers[0], list) and len(answers[0]) == 50_000
    assert not worker.is_lost


def test_a_process_with_a_call_that_does_not_stop_takes_no_others(fake: Fake) -> None:
    made = UpstreamWorker(
        fake(
            f"""{HELLO}
calls = {{one["call"]: one for one in (read(), read())}}
slow, stuck = calls["slow"], calls["stuck"]
write({{"id": stuck["id"], "error": "late", "late": True, "hung": True}})
read_line()
write({{"id": slow["id"], "result": "done"}})
time.sleep(60)
"""
        ),
        "1",
        "1.36",
    )
    answers: list[object] = []
    beside = threading.Thread(target=lambda: answers.append(made.call("slow", {}, 30)))
    beside.start()
    while not made._waiting:
        time.sleep(0.001)
    with pytest.raises(LateCallError) as raised:
        made.call("stuck", {}, 30)
    assert raised.value.was_shared and made.is_lost
    with pytest.raises(WorkerLostError, match="takes no further calls"):
        made.call("other", {}, 5)
    assert made._process.stdin is not None
    made._process.stdin.write(b"\n")
    made._process.stdin.flush()
    beside.join()
    assert answers == ["done"]
    made._process.wait(30)


def test_a_call_that_is_too_large_leaves_nothing_behind(
    worker: UpstreamWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.upstream.frames.MAX_FRAME_BYTES", 1000)
    with pytest.raises(ToolError, match="too large"):
        worker.call("validate", {**BATCH, "markers": ["x" * 1000]}, 10)
    assert worker.call("validate", BATCH, 10) == [{}]


def test_an_interrupted_call_does_not_end_the_process(fake: Fake) -> None:
    """The answer to a call that nobody waits for any more is dropped."""
    made = UpstreamWorker(
        fake(
            f"""{HELLO}
first, second = read(), read()
write({{"id": first["id"], "result": 1}})
write({{"id": second["id"], "result": 2}})
time.sleep(60)
"""
        ),
        "1",
        "1.36",
    )
    number, _ = made._register(5)
    made._send(encode_frame({"id": number}))
    made._forget(number)
    assert made.call("second", {}, 20) == 2
    made.close()


def test_ctrl_c_in_a_terminal_does_not_reach_the_process(worker: UpstreamWorker) -> None:
    assert os.getpgid(worker.pid) != os.getpgid(0)


@pytest.mark.parametrize("end", [UpstreamWorker.close, lambda made: os.kill(made.pid, signal.SIGKILL)])
def test_nothing_is_left_of_a_process(program: Path, end: Callable[[UpstreamWorker], None]) -> None:
    """Neither a zombie nor a descriptor nor a thread, however it ended."""
    made = UpstreamWorker(program, get_program_version(), "1.36")
    assert made._process.stdin is not None and made._process.stdout is not None
    end(made)
    made._reader.join(30)
    assert not made._reader.is_alive()
    assert made._process.stdin.closed and made._process.stdout.closed
    with pytest.raises(ProcessLookupError):
        os.kill(made.pid, 0)
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(30)
    assert not any(timer.is_alive() for timer in timers)
