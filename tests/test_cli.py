"""The command line itself: help, versions, wrong arguments, and internal errors."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from gatekeeper import __version__, cli
from gatekeeper.host.toolchain import PACKAGE
from tests.conftest import Repository, command


def test_help_names_every_command_and_the_exit_status() -> None:
    code, out, _ = command("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in cli.COMMANDS)
    assert "3 something could not be checked" in out


def test_missing_arguments_are_wrong_usage() -> None:
    assert command()[0] == 2


def test_version_is_printed() -> None:
    assert command("--version") == (0, f"gatekeeper {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["chekc"], "unknown command `chekc`; commands are audit, check, config, controller"),
        (["check", "--format", "pdf"], "--format pdf: unknown format; choose from text, json"),
        (["check", "--jobs", "0"], "--jobs must be 1 or more"),
        (["check", "--engine", "gpt"], "invalid choice: 'gpt'"),
        (["policy", "list", "x"], "policy list takes no PATH; remove it"),
        (["render", "/nowhere"], "no such file or folder"),
    ],
)
def test_wrong_arguments_have_one_clear_message(words: list[str], told: str) -> None:
    code, _, err = command(*words)
    assert (code, told in err, "Traceback" in err) == (2, True, False)


def test_closed_output_pipe_is_not_an_error(repository: Repository) -> None:
    root = repository({f"{n}.yaml": "a: [1\n" for n in range(400)})
    done = subprocess.run(
        f"{sys.executable} -m gatekeeper check --format json {root} | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "{\n")


def test_internal_error_is_not_a_verdict_and_repeats_no_input() -> None:
    program = (
        "import sys; from gatekeeper import cli; from gatekeeper.commands import check\n"
        "def broken(arguments): raise RuntimeError('hunter2')\n"
        "check.check = broken; sys.argv = ['gatekeeper', 'check']; cli.entry()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "internal error, RuntimeError at" in done.stderr
    assert "hunter2" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["gatekeeper.cli", "gatekeeper.errors", "gatekeeper.commands.check"])
@pytest.mark.parametrize(
    "start",
    ["runpy.run_module('gatekeeper', run_name='__main__')", "from gatekeeper.__main__ import entry; entry()"],
)
def test_an_interrupt_while_modules_load_ends_without_a_traceback(module: str, start: str) -> None:
    """The signal comes at the moment when Python looks for one of the modules."""
    program = f"""
import os, runpy, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
{start}
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_installed_command_starts_where_an_interrupt_is_handled() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"gatekeeper": "gatekeeper.__main__:entry"}
