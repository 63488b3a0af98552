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


def add_prune_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the prune budget; their older names `--most` and `--share` are valid and not shown."""
    parser.add_argument(
        "--max-prune",
        type=int,
        default=10,
        metavar="N",
        help="maximum number of objects pruned at once (default: 10)",
    )
    parser.add_argument(
        "--max-prune-percent",
        type=float,
        default=50.0,
        metavar="PERCENT",
        help="maximum percentage of objects pruned at once (default: 50)",
    )
    hidden = argparse.SUPPRESS
    parser.add_argument("--most", dest="max_prune", type=int, default=hidden, help=hidden)
    parser.add_argument("--share", dest="max_prune_percent", type=float, default=hidden, help=hidden)
