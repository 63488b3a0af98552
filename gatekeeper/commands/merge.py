"""`gatekeeper merge`: one verdict from the reports of all shares."""

from __future__ import annotations

import argparse
from pathlib import Path

from gatekeeper.commands.check import parse_output, write_report
from gatekeeper.errors import UsageError
from gatekeeper.gate import shards
from gatekeeper.report import json
from gatekeeper.report.formats import FORMATS

EXAMPLES = """examples:
  gatekeeper check --shard 1/2 --format json=1.json
  gatekeeper check --shard 2/2 --format json=2.json
  gatekeeper merge 1.json 2.json --format text --format sarif=gatekeeper.sarif

Exit status, as of `check`: 0 accepted, 1 refused, 3 could not judge all of it; 2 where a share is missing.
"""


def merge(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper merge",
        description="Join the JSON reports of `gatekeeper check --shard I/N` into one verdict.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("reports", nargs="+", type=Path, metavar="FILE", help="the report of each share")
    options.add_argument(
        "--format", action="append", metavar="FORMAT[=FILE]", help=f"{', '.join(FORMATS)}; can be given several times"
    )
    given = options.parse_intermixed_args(arguments)
    outputs = [parse_output(text) for text in given.format or ["text"]]
    verdicts = []
    for path in given.reports:
        try:
            verdicts.append((str(path), json.parse_report(path.read_bytes())))
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
    verdict = shards.merge_verdicts(verdicts)
    for name, file in outputs:
        write_report(verdict, Path.cwd(), name, file)
    return verdict.exit_code
