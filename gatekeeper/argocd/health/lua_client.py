"""Runs Argo CD's Lua health scripts, and those of users, in the Go program `gatekeeper-upstream`.

The program contains all scripts that Argo CD ships. A script has one second, and sees one object and nothing else. The
scripts of users run one by one in a process of their own, so that one that needs too much memory stops no other call.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_list
from gatekeeper.upstream.client import UpstreamClient, create_client, get_program_path, open_client
from gatekeeper.upstream.worker import WorkerLostError

SECONDS = 5.0
_user_script_lock = threading.Lock()


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
    payload = {"objects": [{"group": group, "kind": kind, "object": value, "script": script}]}
    if script:
        with _user_script_lock:
            answer = _call_for_script(payload)
    else:
        answer = open_client("").call("health", payload, SECONDS)
    [health] = decode_list(_decode_health, answer, 1)
    return health


def _decode_health(answer: dict[str, Any]) -> LuaHealth | None:
    if not answer["known"]:
        return None
    return LuaHealth(answer.get("status") or "", answer.get("message") or "", answer.get("fault") or "")


def _call_for_script(payload: dict[str, Any]) -> Any:
    """The answer of the process for users' scripts.

    Raises:
        ToolError: the script stopped the process, or the program is missing.
    """
    try:
        return _open_script_client().call("health", payload, SECONDS)
    except WorkerLostError as error:
        raise ToolError(f"a health script of `argocd-cm` was stopped: {error}") from error


@cache
def _open_script_client() -> UpstreamClient:
    return create_client("")


def require_program() -> None:
    """Check that the program is built.

    Raises:
        ToolError: it is not.
    """
    get_program_path()
