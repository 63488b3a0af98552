"""`gatekeeper tools`: the outside programs, their versions, and building them."""

from __future__ import annotations

import argparse
import sys

from gatekeeper import tools as programs
from gatekeeper.errors import ToolError


def tools(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper tools",
        description="Show, build (with Go, from checksummed source) and verify the outside programs.",
        epilog="examples:\n  gatekeeper tools\n  gatekeeper tools install kustomize helm\n  gatekeeper tools verify\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", nargs="?", choices=("list", "install", "verify"), default="list")
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(programs.TOOLS)}")
    given = options.parse_args(arguments)
    for name in given.names:
        if name not in programs.TOOLS:
            options.error(f"no tool `{name}`; there are {', '.join(programs.TOOLS)}")
    names = given.names or list(programs.NEEDED)
    return {"list": _list, "install": _install, "verify": _verify}[given.action](names)


def _list(names: list[str]) -> int:
    status = 0
    for name in names:
        try:
            sys.stdout.write(f"{name:<12} {programs.TOOLS[name].version:<9} {programs.find(name)}\n")
        except ToolError as error:
            sys.stdout.write(f"{name:<12} {programs.TOOLS[name].version:<9} missing: {error}\n")
            status = 3
    return status


def _install(names: list[str]) -> int:
    for name in names:
        if not programs.built(programs.TOOLS[name]).is_file():
            sys.stderr.write(f"building {name} {programs.TOOLS[name].version}; this takes minutes, once\n")
        programs.install(name)
    return 0


def _verify(names: list[str]) -> int:
    status = 0
    for name in names:
        path = programs.built(programs.TOOLS[name])
        whole = path.is_file() and programs.intact(path)
        sys.stdout.write(f"{name:<12} {'as built' if whole else 'missing or changed: run gatekeeper tools install'}\n")
        status = status if whole else 3
    return status
