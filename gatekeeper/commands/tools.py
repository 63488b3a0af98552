"""`gatekeeper tools`: the outside programs, their versions, and building them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import ToolError
from gatekeeper.host import lockfile
from gatekeeper.host import toolchain as programs
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.terminal.progress import show_progress

EXAMPLES = """examples:
  gatekeeper tools
  gatekeeper tools install kustomize helm
  gatekeeper tools verify
  gatekeeper tools lock                     pin these versions and programs in gatekeeper.lock

Exit status: 0 all are there, 3 some are missing or were changed.
"""


def tools(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper tools",
        description="Show, build (with Go, from checksummed source), verify and pin the outside programs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", nargs="?", choices=("list", "install", "verify", "lock"), default="list")
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(programs.TOOLS)}")
    given = options.parse_args(arguments)
    for name in given.names:
        if name not in programs.TOOLS:
            options.error(f"no tool `{name}`; there are {', '.join(programs.TOOLS)}")
    root = config.find_root(Path.cwd())
    tools = lockfile.load(root)
    if given.action in ("list", "lock"):
        names = given.names or list(programs.PINNED_TOOLS)
        return (
            _lock_tools(root, tools, names)
            if given.action == "lock"
            else _list_tools(tools, names, given.names or programs.RENDER_TOOLS)
        )
    names = given.names or list(programs.RENDER_TOOLS)
    return {"install": _install_tools, "verify": _verify_tools}[given.action](tools, names)


def _list_tools(tools: Toolchain, names: Sequence[str], needed: Sequence[str]) -> int:
    status = 0
    for name in names:
        try:
            sys.stdout.write(f"{name:<12} {tools.get_tool(name).version:<9} {tools.find(name)}\n")
        except ToolError as error:
            sys.stdout.write(
                f"{name:<12} {tools.get_tool(name).version:<9} missing ({tools.get_tool(name).purpose}): {error}\n"
            )
            status = 3 if name in needed else status
    return status


def _install_tools(tools: Toolchain, names: list[str]) -> int:
    for name in names:
        tool = tools.get_tool(name)
        if programs.get_built_path(tool).is_file() and programs.is_intact(programs.get_built_path(tool)):
            continue
        words = f"building {name} {tool.version}; this takes minutes, once"
        if not sys.stderr.isatty():
            sys.stderr.write(f"{words}\n")
        with show_progress(words):
            programs.install_tool(tool)
    return 0


def _verify_tools(tools: Toolchain, names: list[str]) -> int:
    status = 0
    for name in names:
        path = programs.get_built_path(tools.get_tool(name))
        whole = path.is_file() and programs.is_intact(path)
        sys.stdout.write(f"{name:<12} {'as built' if whole else 'missing or changed: run gatekeeper tools install'}\n")
        status = status if whole else 3
    return status


def _lock_tools(root: Path, tools: Toolchain, names: list[str]) -> int:
    """Pins the versions, and the programs that are here; one that is not is pinned by its version alone."""
    found = {}
    for name in names:
        try:
            found[name] = programs.hash_file(tools.find(name))
        except ToolError as error:
            sys.stderr.write(f"{error}\n")
    sys.stdout.write(f"{lockfile.write(root, tools, found)}\n")
    return 0
