"""Go templates and paths into JSON, by the real libraries: a small program of ours in Go, built like any other tool.

It fills templates with the functions of external-secrets or of the sealed-secrets controller, looks up paths as gjson
does, renames keys as Go's regular expressions do, and takes away what jq expressions name. What is secret reaches it
through a pipe only; what it says of a failure holds no value. `main.go` beside this file is all of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import orjson

from gatekeeper.host import toolchain
from gatekeeper.host.process import Idle
from gatekeeper.secret_value import Hidden

SECONDS = 10.0
ADVICE = "a template may go on for ever, or take more than 512 MB"
Engine = Literal["external-secrets", "external-secrets-v1", "sealed-secrets"]
_programs = Idle(partial(toolchain.find, "gotemplate"), SECONDS, ADVICE)


class Rename(NamedTuple):
    """Keys that get new names: by a regular expression of Go's, or by a template that sees each as `.value`."""

    keys: tuple[str, ...]
    source: str = ""
    target: str = ""
    template: str = ""


class Lookup(NamedTuple):
    """A path into a JSON text, as gjson has them; with `raw` what stands there as it stands there."""

    text: Hidden
    path: str
    raw: bool = False


class Removal(NamedTuple):
    """An object as JSON, and jq expressions that name what is taken away from it; what does not fit takes nothing."""

    text: Hidden
    expressions: tuple[str, ...]


class Fault(NamedTuple):
    """Why a template, a pattern or an expression gives nothing: in what, and where in it."""

    reason: str


class Reply(NamedTuple):
    """An answer for each template, lookup, rename and removal. A path that leads nowhere gives None."""

    templates: list[Hidden | Fault]
    lookups: list[Hidden | None]
    renames: list[list[str] | Fault]
    removals: list[Hidden | Fault]


def ask(
    engine: Engine = "external-secrets",
    data: Mapping[str, Hidden] | None = None,
    templates: Sequence[str] = (),
    lookups: Sequence[Lookup] = (),
    renames: Sequence[Rename] = (),
    removals: Sequence[Removal] = (),
) -> Reply:
    """Fills templates, looks up, renames and takes away, all in one request.

    Args:
        data: what templates see.
    Raises:
        ToolError: the program is not built, took too long, or too much memory.
    """
    request = {
        "engine": engine,
        "data": {key: _packed(value) for key, value in (data or {}).items()},
        "templates": list(templates),
        "lookups": [{"json": _packed(one.text), "path": one.path, "raw": one.raw} for one in lookups],
        "renames": [one._asdict() for one in renames],
        "removals": [{"json": _packed(one.text), "expressions": list(one.expressions)} for one in removals],
    }
    reply = orjson.loads(_programs.ask(orjson.dumps(request)))
    return Reply(
        [_value(one) if one["found"] else Fault(one["fault"]) for one in reply["templates"]],
        [_value(one) if one["found"] else None for one in reply["lookups"]],
        [list(one["names"]) if one["found"] else Fault(one["fault"]) for one in reply["renames"]],
        [_value(one) if one["found"] else Fault(one["fault"]) for one in reply["removals"]],
    )


def _packed(value: Hidden) -> str:
    return base64.b64encode(value.reveal()).decode("ascii")


def _value(answer: Mapping[str, Any]) -> Hidden:
    return Hidden(base64.b64decode(answer.get("value") or ""))
