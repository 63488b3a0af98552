"""`gatekeeper config schema`: the JSON Schemas of the files that a repository configures Gatekeeper with."""

from __future__ import annotations

import sys

from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import config_schemas

EXAMPLES = """examples:
  gatekeeper config schema > gatekeeper.schema.json           of gatekeeper.yaml
  gatekeeper config schema waivers > waivers.schema.json      of the file with waivers
  gatekeeper config schema lock > lock.schema.json            of gatekeeper.lock

Editors with the YAML language server complete gatekeeper.yaml if its first line is
# yaml-language-server: $schema=gatekeeper.schema.json

Exit status: 0 printed, 2 wrong usage.
"""


def config(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: there is no such schema.
    """
    options = create_parser("config", "Print the JSON Schema of a configuration file.", EXAMPLES)
    options.add_argument("action", choices=("schema",), help="what to print")
    options.add_argument(
        "name",
        nargs="?",
        default=config_schemas.SCHEMA_NAMES[0],
        metavar="NAME",
        help=f"one of {', '.join(config_schemas.SCHEMA_NAMES)} (default: {config_schemas.SCHEMA_NAMES[0]})",
    )
    args = options.parse_args(arguments)
    sys.stdout.write(config_schemas.read_schema(args.name).decode())
    return 0
