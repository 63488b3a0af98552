"""`check` where the machine is the problem: streams, locales, folders, limits, signals. One message, never a traceback."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.host.toolchain import get_cache_folder
from tests.conftest import Repository, command, needs
from tests.gate.test_pipeline import GOOD
from tests.upstream.broken_programs import break_program, greet_and

PROGRAM = "gatekeeper-upstream"
pytestmark = needs(PROGRAM)
CACHE = str(get_cache_folder().parent.parent)
FILES: dict[str, str | bytes] = {"a.yaml": GOOD, "kustomization.yaml": "resources: [a.yaml]\n"}
CHECK = f"{sys.executable} -m gatekeeper check"


@pytest.fixture
def root(repository: Repository) -> Path:
    """A repository that is accepted, and in Git so that its verdict can be cached."""
    folder = repository(FILES)
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


def run_shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_verdict(root: Path, streams: str) -> None:
    assert run_shell(f"{CHECK} {streams}", root).returncode == 0
    (root / "b.yaml").write_text(GOOD.replace("\ndata:", "\ndta:"))
    done = run_shell(f"{CHECK} {streams}", root)
    assert done.returncode == 1 and done.stderr == ""


def test_a_file_never_takes_the_place_of_a_closed_stream(root: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_shell(f"{CHECK} --format text --format json={report} >&-", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert report.read_text().startswith("{") and "accepted" in report.read_text()


def test_text_that_the_terminal_cannot_show_is_escaped(root: Path) -> None:
    (root / "ü.yaml").write_text(GOOD.replace("name: a", "name: b").replace("\ndata:", "\ndäta:"))
    done = run_shell(CHECK, root, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 1 and "unknown field `d\\xe4ta`" in done.stdout and done.stderr == ""


def test_a_folder_that_was_removed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = run_shell(f"rmdir ../gone; {CHECK}", tmp_path / "gone", PYTHONPATH=str(Path.cwd()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gatekeeper: the current folder does not exist any more; change to another folder\n"


def test_a_reader_that_stops_is_no_error(root: Path) -> None:
    for number in range(300):
        (root / f"{number}.yaml").write_text(GOOD.replace("name: a", f"name: a{number}").replace("\ndata:", "\ndta:"))
    done = run_shell(f"{CHECK} | head -1", root)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"TMPDIR": "/nowhere"},
        {"HOME": "/nowhere"},
        {"PATH": ""},
        {"GATEKEEPER_CACHE": "/dev/null/x"},
        {"GATEKEEPER_CACHE": "/proc/x"},
        {"GATEKEEPER_CACHE": __file__},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_poor_environment_changes_no_verdict(root: Path, variables: dict[str, str]) -> None:
    code, out, err = command("check", root, env={**os.environ, "XDG_CACHE_HOME": CACHE, **variables})
    assert (code, err) == (0, ""), out


@pytest.mark.parametrize("name", ["HOME", "PATH", "LANG", "USER"])
def test_a_variable_that_is_missing_changes_no_verdict(root: Path, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != name}
    code, out, err = command("check", root, env={**environment, "XDG_CACHE_HOME": CACHE})
    assert (code, err) == (0, ""), out


def overwrite(file: Path) -> None:
    file.write_bytes(b"garbage" * 20)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [overwrite, make_folder, make_pipe])
def test_a_damaged_cache_is_not_used(root: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    environment = {**os.environ, "GATEKEEPER_CACHE": str(tmp_path / "cache")}
    first = command("check", root, env=environment)
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert files
    for file in files:
        damage(file)
    assert command("check", root, env=environment) == first
    assert first[0] == 0


LIMITS = {
    "few files": (resource.RLIMIT_NOFILE, 64),
    "little memory": (resource.RLIMIT_AS, 1 << 30),
    # Nothing can be kept, and nothing needs to be.
    "files of no size": (resource.RLIMIT_FSIZE, 0),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_check_runs_within_the_limits_of_the_machine(root: Path, limit: str) -> None:
    kind, size = LIMITS[limit]
    code = f"import resource; resource.setrlimit({kind}, ({size}, {size})); from gatekeeper.cli import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", root], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_leaves_nothing(root: Path, tmp_path: Path, end: signal.Signals) -> None:
    """Neither a traceback nor a process nor a file."""
    (tmp_path / "tmp").mkdir()
    os.mkfifo(tmp_path / "called")
    code = greet_and(
        f"read()\nwith open({str(tmp_path / 'called')!r}, 'w') as pipe: pipe.write(str(os.getpid()))\nsys.stdin.read()"
    )
    environment = {**break_program(tmp_path / "cache", PROGRAM, code), "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", "check", root],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with (tmp_path / "called").open() as pipe:
        program = int(pipe.read())
    watch = os.pidfd_open(program)
    os.killpg(process.pid, end)
    out, err = process.communicate(timeout=60)
    assert (out, err) == ("", "")
    assert process.returncode == (130 if end == signal.SIGINT else -signal.SIGTERM)
    assert select.select([watch], [], [], 30)[0], "the program still runs"
    assert list((tmp_path / "tmp").iterdir()) == []
