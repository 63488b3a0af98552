"""Go templates and paths into JSON, by the real libraries: a small program of ours in Go, built like any other tool.

It fills templates with the functions of external-secrets or of the sealed-secrets controller, looks up paths as gjson
does, and renames keys as Go's regular expressions do. What is secret reaches it through a pipe only; what it says of a
failure holds no value. `main.go` beside this file is all of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from gatekeeper import process, tools
from gatekeeper.errors import ToolError
from gatekeeper.hidden import Hidden

SECONDS = 30.0
Engine = Literal["external-secrets", "external-secrets-v1", "sealed-secrets"]


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


class Fault(NamedTuple):
    """Why a template or a pattern gives nothing: in what, and where in it."""

    reason: str


class Reply(NamedTuple):
    """An answer for each template, lookup and rename. A path that leads nowhere gives None."""

    templates: list[Hidden | Fault]
    lookups: list[Hidden | None]
    renames: list[list[str] | Fault]


def ask(
    engine: Engine = "external-secrets",
    data: Mapping[str, Hidden] | None = None,
    templates: Sequence[str] = (),
    lookups: Sequence[Lookup] = (),
    renames: Sequence[Rename] = (),
) -> Reply:
    """Fills templates, looks up and renames, all in one run of the program.

    Args:
        data: what templates see.
    Raises:
        ToolError: the program is not built, or took too long.
    """
    request = {
        "engine": engine,
        "data": {key: _packed(value) for key, value in (data or {}).items()},
        "templates": list(templates),
        "lookups": [{"json": _packed(one.text), "path": one.path, "raw": one.raw} for one in lookups],
        "renames": [one._asdict() for one in renames],
    }
    code, out, _ = process.run(
        [tools.find("gotemplate")], SECONDS, stdin=orjson.dumps(request), advice="look at the templates"
    )
    if code != 0:
        raise ToolError(f"gotemplate failed with status {code}; run `gatekeeper tools verify`")
    reply = orjson.loads(out)
    return Reply(
        [_value(one) if one["found"] else Fault(one["fault"]) for one in reply["templates"]],
        [_value(one) if one["found"] else None for one in reply["lookups"]],
        [list(one["names"]) if one["found"] else Fault(one["fault"]) for one in reply["renames"]],
    )


def _packed(value: Hidden) -> str:
    return base64.b64encode(value.reveal()).decode("ascii")


def _value(answer: Mapping[str, Any]) -> Hidden:
    return Hidden(base64.b64decode(answer.get("value") or ""))
