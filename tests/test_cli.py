"""The command line itself: help, versions, wrong arguments, and internal errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gatekeeper import __version__, cli
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
