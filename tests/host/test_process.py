"""Other programs: each run has a time limit, no network, and no secrets of the environment."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.host.process import LineProcess, LineProcessPool

# Answers each line with its process and the line in capitals; ends on "end", and sleeps on "sleep".
ECHO = """
import os, sys, time
for line in sys.stdin:
    if line == "end\\n": sys.exit(1)
    if line == "sleep\\n": time.sleep(60)
    print(os.getpid(), line.strip().upper(), flush=True)
"""


def test_a_program_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"took longer than 0\.3 seconds"):
        process.run_command([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)
    assert time.monotonic() - began < 30


def test_a_program_gets_a_closed_network_and_no_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    code, out, _ = process.run_command(["/usr/bin/env"], 10)
    assert code == 0
    assert b"hunter2" not in out
    assert b"HTTPS_PROXY=http://127.0.0.1:9" in out


def test_missing_program_is_reported() -> None:
    with pytest.raises(ToolError, match="nowhere cannot be started"):
        process.run_command(["/nowhere"], 1)


def test_input_output_status_and_folder_are_those_of_the_program(tmp_path: Path) -> None:
    program = "import os, sys; print(os.getcwd(), sys.stdin.read()); print('lost', file=sys.stderr); sys.exit(3)"
    result = process.run_command([sys.executable, "-c", program], 20, tmp_path, b"hello", {"A": "1"})
    assert result == (3, f"{tmp_path} hello\n".encode(), "lost\n")


def test_git_gets_no_remote_without_network_and_some_with_it() -> None:
    assert b"GIT_ALLOW_PROTOCOL=none" in process.run_command(["/usr/bin/env"], 10)[1]
    assert b"GIT_ALLOW_PROTOCOL=https:ssh:file" in process.run_command(["/usr/bin/env"], 10, allow_network=True)[1]


@pytest.fixture
def echo() -> Iterator[LineProcess]:
    program = LineProcess([sys.executable, "-c", ECHO])
    yield program
    program.close()


def test_a_line_process_answers_line_by_line(echo: LineProcess) -> None:
    answers = [echo.send_request(line, 20, "").split() for line in (b"a", b"b")]
    assert [words[1] for words in answers] == [b"A", b"B"] and answers[0][0] == answers[1][0]


@pytest.mark.parametrize(
    ("line", "seconds", "message"), [("end", 20, "ended without an answer"), ("sleep", 0.5, "took")]
)
def test_a_line_process_without_an_answer_is_an_error(
    echo: LineProcess, line: str, seconds: float, message: str
) -> None:
    with pytest.raises(ToolError, match=rf"{message}.*; look at it"):
        echo.send_request(line.encode(), seconds, "look at it")


def test_a_pool_reuses_idle_programs_and_replaces_those_that_ended(tmp_path: Path) -> None:
    script = tmp_path / "echo"
    script.write_text(f"#!{sys.executable}\n{ECHO}")
    script.chmod(0o755)
    pool = LineProcessPool(lambda: script, 20, "look at it")
    first = pool.send_request(b"a").split()[0]
    assert pool.send_request(b"b").split()[0] == first
    with pytest.raises(ToolError):
        pool.send_request(b"end")
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: pool.send_request(str(number).encode()).split(), range(20)))
    assert [int(words[1]) for words in answers] == list(range(20)) and first not in {words[0] for words in answers}
    pool._close_all()


def test_scratch_folder_is_empty_private_and_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with process.open_scratch_folder("a-") as folder, process.open_scratch_folder("a-") as other:
        assert folder.parent == tmp_path and folder != other
        assert not list(folder.iterdir()) and folder.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


def test_scratch_folder_is_in_another_place_where_the_named_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with process.open_scratch_folder("a-") as folder:
        assert folder.is_dir() and folder.parent != tmp_path / "missing"
    assert not folder.exists()
