"""Runs Argo CD's Lua health scripts, and those of users, in a small Go program.

The program contains all scripts that Argo CD ships. A script has one second, and sees one object and nothing else; see
`lua/main.go`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import orjson

from gatekeeper.host.process import LineProcessPool
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN

SECONDS = 5.0
_PROGRAMS = LineProcessPool(partial(DEFAULT_TOOLCHAIN.find, "luahealth"), SECONDS, "a script may take more than 512 MB")


class LuaHealth(NamedTuple):
    """What a script returned: a status and a message; or why its result cannot be used."""

    status: str
    message: str
    fault: str = ""


def evaluate_health(group: str, kind: str, value: Any, script: str = "") -> LuaHealth | None:
    """Run the health script of an object's kind.

    Args:
        script: the source of a user's script; empty for the one that Argo CD ships.

    Returns:
        None if there is no script for the kind, or if it returns nothing.

    Raises:
        ToolError: the program is not built, failed, or took too long.
    """
    request = {"group": group, "kind": kind, "object": value, "script": script}
    answer = orjson.loads(_PROGRAMS.send_request(orjson.dumps(request)))
    if not answer["known"]:
        return None
    return LuaHealth(answer.get("status") or "", answer.get("message") or "", answer.get("fault") or "")


def require_program() -> None:
    """Check that the program is built.

    Raises:
        ToolError: it is not.
    """
    DEFAULT_TOOLCHAIN.find("luahealth")
