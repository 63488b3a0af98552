"""`gatekeeper policy`: the rules that come with the product."""

from __future__ import annotations

import argparse
import sys

from gatekeeper.engines import library


def policy(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper policy",
        description="List or document the rules of the library.",
        epilog="examples:\n  gatekeeper policy list\n  gatekeeper policy docs > RULES.md\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=("list", "docs"))
    given = options.parse_args(arguments)
    for rule in library.rules()[0]:
        if given.action == "list":
            sys.stdout.write(f"{rule.name:<36} {rule.severity:<8} {rule.profile:<8} {rule.title}\n")
        else:
            standards = ", ".join(rule.standards)
            sys.stdout.write(f"## {rule.name}\n\n{rule.title} ({rule.severity}, {rule.profile}). {rule.reason}\n\n")
            sys.stdout.write(f"Remedy: {rule.remedy}. Serves: {standards}.\n\n")
    return 0
