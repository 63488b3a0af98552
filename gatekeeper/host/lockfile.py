"""`gatekeeper.lock`: the versions of outside programs that a repository is judged with, and which programs these are.

A lock pins versions; what is built from them, Go's checksum database vouches for. A program from the PATH counts only
if the lock has its checksum for this platform.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import orjson

from gatekeeper import __version__
from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file, toolchain
from gatekeeper.host.toolchain import Tool, Toolchain

LOCK_FILE = "gatekeeper.lock"
SCHEMA = "gatekeeper/lock/v1"
VERSION_PATTERN = re.compile(r"v\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
PLATFORM = f"{sys.platform}-{os.uname().machine.lower()}"


def load(root: Path) -> Toolchain:
    """The tools as the lock of a repository pins them; those of this package where it has no lock.

    Raises:
        UsageError: the lock is malformed.
    """
    entries = _read_lock(root).get("tools", {})
    return Toolchain({name: _parse_tool(name, entry) for name, entry in entries.items()})


def write(root: Path, tools: Toolchain, program_digests: dict[str, str]) -> Path:
    """Writes the lock: versions, and checksums of this platform's programs in addition to those already in the lock.

    Args:
        tools: the versions to pin.
        program_digests: SHA-256 of the programs of this machine, by tool.

    Raises:
        UsageError: the present lock is malformed.
    """
    held = _read_lock(root)
    entries: dict[str, Any] = {}
    for name, tool in toolchain.TOOLS.items():
        if name not in toolchain.PINNED_TOOLS and name not in program_digests and name not in held.get("tools", {}):
            continue
        before = held.get("tools", {}).get(name, {})
        version = tools.get_tool(name).version
        sums = {
            where: sorted(known) for where, known in before.get("sums", {}).items() if before.get("version") == version
        }
        if name in program_digests:
            sums[PLATFORM] = sorted({*sums.get(PLATFORM, ()), program_digests[name]})
        entries[name] = {"package": tool.package, "version": version, "sums": dict(sorted(sums.items()))}
    value = {"schema": SCHEMA, "gatekeeper": __version__, "tools": entries}
    path = root / LOCK_FILE
    atomic_file.write(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    return path


def _read_lock(root: Path) -> dict[str, Any]:
    path = root / LOCK_FILE
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read: {error}; remove it, and write it anew with `gatekeeper tools lock`"
        ) from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not isinstance(value.get("tools"), dict):
        raise UsageError(f"{path}: is no lock of {SCHEMA}; remove it, and write it anew with `gatekeeper tools lock`")
    return value


def _parse_tool(name: str, entry: Any) -> Tool:
    if name not in toolchain.TOOLS:
        raise UsageError(f"{LOCK_FILE}: no tool `{name}`; there are {', '.join(toolchain.TOOLS)}")
    own = toolchain.TOOLS[name]
    # A lock chooses a version; which program that is of, this package says.
    if not isinstance(entry, dict) or entry.get("package") != own.package:
        raise UsageError(f"{LOCK_FILE}: `{name}` must be of the package {own.package}")
    version, sums = entry.get("version"), entry.get("sums")
    if not isinstance(version, str) or not VERSION_PATTERN.fullmatch(version) or not isinstance(sums, dict):
        raise UsageError(f"{LOCK_FILE}: `{name}` needs a version such as {own.version}, and sums by platform")
    return own._replace(version=version, checksums=tuple(map(str, sums.get(PLATFORM) or ())))
