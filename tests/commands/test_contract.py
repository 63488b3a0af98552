"""The contract of all commands: one function of the module's name, help with examples and exit statuses, clear errors."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import gatekeeper
from gatekeeper import cli

FOLDER = Path(gatekeeper.__file__).parent / "commands"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Runs a command in this process; argparse ends it with an exit status."""
    try:
        code = cli.main([*arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_is_a_module_with_one_function_of_its_name(name: str) -> None:
    assert callable(getattr(importlib.import_module(f"gatekeeper.commands.{name}"), name))
    assert (FOLDER / f"{name}.py").is_file() or (FOLDER / name / "__init__.py").is_file()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_a_command_has_examples_and_exit_statuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: gatekeeper {name}")
    assert "\nexamples:\n" in out and f"gatekeeper {name} " in out.partition("\nexamples:\n")[2]
    assert "exit status" in out.lower()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_an_unknown_option_is_wrong_usage_on_standard_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, name, "--no-such-option")
    assert (code, out) == (2, "")
    assert f"gatekeeper {name}" in err and "error: " in err and "Traceback" not in err
