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
from gatekeeper.workspace import config_loader, lockfile

EXAMPLES = """examples:
  gatekeeper tools
  gatekeeper tools install kustomize helm
  gatekeeper tools verify
  gatekeeper tools lock                     pin these versions and programs in gatekeeper.lock

Exit status: 0 all are installed, 3 some are missing or changed.
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
    tools = lockfile.load(root, is_rewritten=args.action == "lock")
    if args.action in ("list", "lock"):
        names = args.names or list(programs.CHECK_TOOLS if args.action == "list" else programs.PINNED_TOOLS)
        return (
            _lock_tools(root, tools, names)
            if args.action == "lock"
            else _list_tools(tools, names, args.names or programs.RENDER_TOOLS)
        )
    names = args.names or list(programs.RENDER_TOOLS)
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
        if programs.get_built_path(tool).is_file() and programs.is_intact(programs.get_built_path(tool)):
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
        path = programs.get_built_path(tools.get_tool(name))
        is_intact = path.is_file() and programs.is_intact(path)
        problem = f"missing or changed; run `gatekeeper tools install {name}`"
        sys.stdout.write(f"{name:<12} {'unchanged' if is_intact else problem}\n")
        status = status if is_intact else 3
    return status


def _lock_tools(root: Path, tools: Toolchain, names: list[str]) -> int:
    """Pins each version, and the checksum of each installed program."""
    digests = {}
    for name in names:
        try:
            digests[name] = programs.hash_file(tools.find(name))
        except ToolError as error:
            sys.stderr.write(f"{error}\n")
    sys.stdout.write(f"{lockfile.write(root, tools, digests)}\n")
    return 0
