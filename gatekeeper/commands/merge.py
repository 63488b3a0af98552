"""`gatekeeper merge`: merges the reports of all shards into one verdict."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.gate import shards
from gatekeeper.report import json
from gatekeeper.report.formats import REPORT_FORMATS
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.report_output import parse_output, write_report

EXAMPLES = """examples:
  gatekeeper check --shard 1/2 --format json=1.json
  gatekeeper check --shard 2/2 --format json=2.json
  gatekeeper merge 1.json 2.json --format text --format sarif=gatekeeper.sarif

Exit status as for `check`: 0 accepted, 1 refused, 3 not everything could be checked; 2 a shard is missing.
"""


def merge(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: a file is not a report of a shard, or a shard is missing.
    """
    parser = create_parser(
        "merge", "Merge the JSON reports of `gatekeeper check --shard I/N` into one verdict.", EXAMPLES
    )
    parser.add_argument("reports", nargs="+", type=Path, metavar="FILE", help="the report of each shard")
    parser.add_argument(
        "--format",
        action="append",
        metavar="FORMAT[=FILE]",
        help=f"format of the report: {', '.join(REPORT_FORMATS)} (default: text); can be repeated",
    )
    args = parser.parse_intermixed_args(arguments)
    outputs = [parse_output(text) for text in args.format or ["text"]]
    verdicts = []
    for path in args.reports:
        try:
            verdicts.append((str(path), json.parse_report(path.read_bytes())))
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
    verdict = shards.merge_verdicts(verdicts)
    for name, file in outputs:
        write_report(verdict, Path.cwd(), name, file)
    return verdict.exit_code
