"""The parser of the commands, and options that several commands have."""

from __future__ import annotations

import pytest

from gatekeeper import cli
from gatekeeper.terminal import options


def test_help_has_the_name_of_the_command_and_ends_with_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        options.create_parser("check", "Check files.", "examples:\n  gatekeeper check\n").parse_args(["--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: gatekeeper check [-h]\n\nCheck files.\n")
    assert out.endswith("examples:\n  gatekeeper check\n")


@pytest.mark.parametrize("columns", ["40", "300"])
def test_help_has_the_same_width_on_every_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    parser = options.create_parser("check", "Check files.", "")
    parser.add_argument("path", help=" ".join(["word"] * 60))
    parser.print_help()
    widths = [len(line) for line in capsys.readouterr().out.splitlines()]
    assert options.HELP_WIDTH - 15 < max(widths) <= options.HELP_WIDTH


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_each_command_fits_120_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    out = capsys.readouterr().out
    assert out.startswith(f"usage: gatekeeper {name} ")
    assert [line for line in out.splitlines() if len(line) > 120 and "://" not in line] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (10, 50.0)),
        (["--max-prune", "3", "--max-prune-percent", "20"], (3, 20.0)),
        (["--most", "3", "--share", "20"], (3, 20.0)),
    ],
    ids=["defaults", "names", "older names"],
)
def test_prune_options_have_defaults_and_older_names(arguments: list[str], expected: tuple[int, float]) -> None:
    parser = options.create_parser("reconcile", "", "")
    options.add_prune_options(parser)
    args = parser.parse_args(arguments)
    assert (args.max_prune, args.max_prune_percent) == expected
