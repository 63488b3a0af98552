"""How well objects are by Argo CD's own scripts, or by those of its users: a small program of ours in Go runs them.

It holds all scripts that Argo CD comes with. A script has a second, and sees one object and nothing else; `main.go`
beside this file is all of it.
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
    """What a script says: a word and a sentence; or why it says nothing that counts."""

    status: str
    message: str
    fault: str = ""


def evaluate_health(group: str, kind: str, value: Any, script: str = "") -> LuaHealth | None:
    """What a script says of an object; None where there is none for its kind, or it says nothing.

    Args:
        script: instead of that of Argo CD.

    Raises:
        ToolError: the program is not built, or took too long.
    """
    request = {"group": group, "kind": kind, "object": value, "script": script}
    answer = orjson.loads(_PROGRAMS.send_request(orjson.dumps(request)))
    if not answer["known"]:
        return None
    return LuaHealth(answer.get("status") or "", answer.get("message") or "", answer.get("fault") or "")


def require_program() -> None:
    """Looks for the program.

    Raises:
        ToolError: it is not built.
    """
    DEFAULT_TOOLCHAIN.find("luahealth")
