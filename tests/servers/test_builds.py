"""Programs are built once, awaited by the tests that need them, and no build outlives `make test`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import builds, programs, requirements
from tests.servers.builds import BUILDING, ROOT, BackgroundBuilds
from tests.servers.programs import PROGRAMS, BuildError

# Builds by a shell script in place of Go: each notes that it began, and writes its program.
SCRIPT = 'echo began >> "$0.began"; {body}; echo program > "$0"'


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Says what the build of every program does."""

    def path_of(name: str) -> Path:
        return tmp_path / name / name

    def write(body: str) -> None:
        def command_of(name: str) -> list[str]:
            path_of(name).parent.mkdir(exist_ok=True)
            return ["sh", "-c", SCRIPT.format(body=body), str(path_of(name))]

        monkeypatch.setattr(builds, "command_of", command_of)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(builds, "path_of", path_of)
    monkeypatch.setattr(builds, "is_built", lambda name: path_of(name).is_file())
    monkeypatch.delenv(BUILDING, raising=False)
    builds._outcome.cache_clear()
    yield write
    # What these builds ended with must not be what later tests of this process get for the real programs.
    builds._outcome.cache_clear()


def began(tmp_path: Path, name: str) -> int:
    """How many builds of a program have begun."""
    note = tmp_path / name / f"{name}.began"
    return len(note.read_text().splitlines()) if note.exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_program_that_several_tests_need_is_built_once(script: Callable[[str], None], tmp_path: Path) -> None:
    script("sleep 0.3")
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(builds.obtain, ["etcd"] * 4))
    assert paths == [tmp_path / "etcd" / "etcd"] * 4 and paths[0].is_file()
    assert began(tmp_path, "etcd") == 1


def test_a_test_waits_for_a_build_in_the_background(
    script: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script('mkfifo "$0.gate"; read line < "$0.gate"')
    monkeypatch.setenv(BUILDING, "etcd vault helm")
    lines: list[str] = []
    background = BackgroundBuilds(["etcd", "vault", "helm"], lines.append)
    with ThreadPoolExecutor(1) as pool:
        # The last one waits for its turn; until then its lock is held, and a test does not build it either.
        obtained = pool.submit(builds.obtain, "helm")
        wait_for(lambda: began(tmp_path, "etcd") == began(tmp_path, "vault") == 1)
        assert not obtained.done() and began(tmp_path, "helm") == 0
        for name in ("etcd", "vault", "helm"):
            gate = tmp_path / name / f"{name}.gate"
            wait_for(gate.exists)
            gate.write_text("go\n")
        assert obtained.result(60).is_file()
    background.wait()
    assert background.failures == {} and background.stop() == []
    assert [began(tmp_path, name) for name in ("etcd", "vault", "helm")] == [1, 1, 1]
    assert sorted(lines[:2]) == ["building etcd (1 of 3)", "building vault (2 of 3)"]
    assert any(line.startswith("built helm (3 of 3) in ") for line in lines)


def test_a_build_that_fails_is_reported_with_its_last_lines_and_not_tried_again(
    script: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("seq 1000; echo undefined: x >&2; exit 3")
    lines: list[str] = []
    background = BackgroundBuilds(["etcd"], lines.append)
    background.wait()
    assert list(background.failures) == ["etcd"] and lines[-1] == background.failures["etcd"]
    monkeypatch.setenv(BUILDING, "etcd")
    with pytest.raises(BuildError, match=r"^the build of etcd ended with status 3:\n972\n(.*\n)+1000\nundefined: x$"):
        builds.obtain("etcd")
    monkeypatch.setenv(BUILDING, "")
    for _ in range(2):
        with pytest.raises(BuildError, match="undefined: x"):
            builds.obtain("vault")
    assert (began(tmp_path, "etcd"), began(tmp_path, "vault")) == (1, 1)


def test_an_earlier_failure_does_not_keep_a_program_from_being_built(
    script: Callable[[str], None], tmp_path: Path
) -> None:
    script("exit 1")
    BackgroundBuilds(["etcd"], lambda line: None).wait()
    script("true")
    assert builds.obtain("etcd").is_file()


def test_builds_that_are_stopped_leave_nothing_running_and_are_not_started_by_tests(
    script: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("sleep 600 & echo $! > $0.pid; wait")
    monkeypatch.setenv(BUILDING, "etcd vault helm")
    background = BackgroundBuilds(["etcd", "vault", "helm"], lambda line: None)
    notes = [tmp_path / name / f"{name}.pid" for name in ("etcd", "vault")]
    wait_for(lambda: all(note.exists() and note.read_text().strip() for note in notes))
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(builds.obtain, name) for name in ("etcd", "helm")]
        assert background.stop() == ["etcd", "vault", "helm"]
        for name, future in zip(("etcd", "helm"), waiting, strict=True):
            with pytest.raises(BuildError, match=f"the build of {name} was stopped"):
                future.result(60)
    wait_for(lambda: not any(is_running(int(note.read_text())) for note in notes))
    assert began(tmp_path, "helm") == 0


def is_running(process: int) -> bool:
    """Whether a process exists that has not ended."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_every_program_is_needed_by_a_test() -> None:
    assert requirements.programs_of(requirements.find_files([requirements.TESTS])) == list(PROGRAMS)


def test_what_a_file_needs_is_found_through_its_imports() -> None:
    tests = requirements.TESTS
    assert requirements.programs_of([tests / "argocd" / "test_glob.py"]) == []
    assert requirements.programs_of([tests / "argocd" / "health" / "test_resource_health.py"]) == [
        "gatekeeper-upstream"
    ]
    assert {"etcd", "kube-apiserver", "vault"} <= set(requirements.programs_of([tests / "stores" / "test_vault.py"]))


def test_tests_that_need_what_is_still_built_come_last() -> None:
    files = ["tests/argocd/health/test_resource_health.py", "tests/report/test_text.py", "tests/argocd/test_glob.py"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, BUILDING: "gatekeeper-upstream"}, capture_output=True, text=True
    )
    order = list(dict.fromkeys(line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line))
    assert order == [*files[1:], files[0]]


def test_a_run_that_is_interrupted_ends_all_that_it_started(tmp_path: Path) -> None:
    """`python -m tests.run`, as `make test T=...` calls it, with a test that starts a program and does not end."""
    note = tmp_path / "pid"
    (tmp_path / "test_endless.py").write_text(
        "import pathlib, subprocess\n"
        "def test_endless():\n"
        "    process = subprocess.Popen(['sleep', '600'])\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(process.pid))\n"
        "    process.wait()\n"
    )
    command = [sys.executable, "-m", "tests.run", str(tmp_path / "test_endless.py")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: note.exists() and bool(note.read_text()))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130 and out.endswith("interrupted\n")
    assert not is_running(int(note.read_text()))


def test_a_failure_of_a_test_is_shown_when_it_happens_and_fails_the_run(tmp_path: Path) -> None:
    file = tmp_path / "test_failing.py"
    file.write_text("def test_it():\n    assert 1 == 2\n")
    command = [sys.executable, "-m", "tests.run", str(file), "-ptests.conftest"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stdout.index("test_failing.py::test_it: assert 1 == 2") < done.stdout.index("== FAILURES")


def test_the_replaced_files_exist_in_the_modules_that_they_are_for() -> None:
    for name, server in programs.SERVERS.items():
        folder = programs.HERE / server.folder / "replaced"
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.go")]
        assert bool(files) == bool(server.replaced), name
        assert all(any(file.startswith(f"{module}/") for module in server.replaced) for file in files)
