"""`gatekeeper tools`: lists, builds, verifies and pins the external programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain as programs
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.progress import show_progress
from gatekeeper.workspace import config_loader, lockfile, needed_tools

EXAMPLES = """examples:
  gatekeeper tools
  gatekeeper tools install                  build what this repository needs
  gatekeeper tools install gatekeeper-kyverno
  gatekeeper tools verify
  gatekeeper tools lock                     pin these versions and programs in gatekeeper.lock

Without names, `install` and `verify` take what this repository needs.
Exit status: 0 all that are needed are installed, 3 some are missing or changed.
"""


def tools(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the lock file is invalid.
        ToolError: a program cannot be built.
    """
    parser = create_parser(
        "tools", "List, build (with Go, from checksummed source), verify and pin the external programs.", EXAMPLES
    )
    parser.add_argument("action", nargs="?", choices=("list", "install", "verify", "lock"), default="list")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(programs.TOOLS)}")
    args = parser.parse_args(arguments)
    for name in args.names:
        if name not in programs.TOOLS:
            parser.error(f"unknown tool `{name}`; known tools: {', '.join(programs.TOOLS)}")
    root = config_loader.find_root(Path.cwd())
    tools = lockfile.load(root, is_rewritten=args.action == "lock").tools
    if args.action == "lock":
        return _lock_tools(root, tools, args.names or programs.PINNED_TOOLS)
    names = args.names or needed_tools.list_tools_to_install(root)
    if args.action == "list":
        return _list_tools(tools, args.names or programs.CHECK_TOOLS, names)
    return {"install": _install_tools, "verify": _verify_tools}[args.action](tools, names)


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
        if programs.is_installed(tool):
            continue
        message = f"building {name} {tool.version}; this takes minutes, but only once"
        if not sys.stderr.isatty():
            sys.stderr.write(f"{message}\n")
        with show_progress(message):
            programs.install_tool(tool)
    return 0


def _verify_tools(tools: Toolchain, names: list[str]) -> int:
    status = 0
    for name in names:
        is_installed = programs.is_installed(tools.get_tool(name))
        problem = f"missing or changed; run `gatekeeper tools install {name}`"
        sys.stdout.write(f"{name:<12} {'unchanged' if is_installed else problem}\n")
        status = status if is_installed else 3
    return status


def _lock_tools(root: Path, tools: Toolchain, names: Sequence[str]) -> int:
    """Pins each version, and the checksum of each installed program."""
    digests = {}
    for name in names:
        if name in programs.BUILT_IN_TOOLS:
            # A library, of which the version is pinned.
            continue
        try:
            digests[name] = programs.hash_file(tools.find(name))
        except ToolError as error:
            sys.stderr.write(f"{error}\n")
    sys.stdout.write(f"{lockfile.write_tools(root, tools, digests)}\n")
    return 0
