"""The parser that every command begins with: one form of help, with examples at its end."""

from __future__ import annotations

import argparse

HELP_WIDTH = 110


def create_parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Returns a parser without options for `gatekeeper COMMAND`; the examples end its help text."""
    return argparse.ArgumentParser(
        prog=f"gatekeeper {command}",
        description=description,
        epilog=examples,
        # A fixed width: to look up the terminal's, argparse imports shutil and with it half of the standard library.
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=HELP_WIDTH),
    )
