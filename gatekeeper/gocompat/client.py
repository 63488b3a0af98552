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

from gatekeeper.host.process import LineProcessPool
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.secret_value import SecretBytes

SECONDS = 10.0
TIMEOUT_ADVICE = "a template may go on for ever, or take more than 512 MB"
TemplateEngine = Literal["external-secrets", "external-secrets-v1", "sealed-secrets"]
_PROGRAMS = LineProcessPool(partial(DEFAULT_TOOLCHAIN.find, "gotemplate"), SECONDS, TIMEOUT_ADVICE)


class KeyRename(NamedTuple):
    """Keys that get new names: by a regular expression of Go's, or by a template that sees each as `.value`."""

    keys: tuple[str, ...]
    source: str = ""
    target: str = ""
    template: str = ""


class PathLookup(NamedTuple):
    """A path into a JSON text, as gjson has them; with `is_raw` what stands there as it stands there."""

    document: SecretBytes
    path: str
    is_raw: bool = False


class FieldRemoval(NamedTuple):
    """An object as JSON, and jq expressions that name what is taken away from it; what does not fit takes nothing."""

    document: SecretBytes
    expressions: tuple[str, ...]


class GoFault(NamedTuple):
    """Why a template, a pattern or an expression gives nothing: in what, and where in it."""

    reason: str


class GoReply(NamedTuple):
    """An answer for each template, lookup, rename and removal. A path that leads nowhere gives None."""

    templates: list[SecretBytes | GoFault]
    lookups: list[SecretBytes | None]
    renames: list[list[str] | GoFault]
    removals: list[SecretBytes | GoFault]


def send_request(
    engine: TemplateEngine = "external-secrets",
    data: Mapping[str, SecretBytes] | None = None,
    templates: Sequence[str] = (),
    lookups: Sequence[PathLookup] = (),
    renames: Sequence[KeyRename] = (),
    removals: Sequence[FieldRemoval] = (),
) -> GoReply:
    """Fills templates, looks up, renames and takes away, all in one request.

    Args:
        data: what templates see.
    Raises:
        ToolError: the program is not built, took too long, or too much memory.
    """
    request = {
        "engine": engine,
        "data": {key: _encode(value) for key, value in (data or {}).items()},
        "templates": list(templates),
        "lookups": [{"json": _encode(one.document), "path": one.path, "raw": one.is_raw} for one in lookups],
        "renames": [one._asdict() for one in renames],
        "removals": [{"json": _encode(one.document), "expressions": list(one.expressions)} for one in removals],
    }
    reply = orjson.loads(_PROGRAMS.send_request(orjson.dumps(request)))
    return GoReply(
        [_decode(one) if one["found"] else GoFault(one["fault"]) for one in reply["templates"]],
        [_decode(one) if one["found"] else None for one in reply["lookups"]],
        [list(one["names"]) if one["found"] else GoFault(one["fault"]) for one in reply["renames"]],
        [_decode(one) if one["found"] else GoFault(one["fault"]) for one in reply["removals"]],
    )


def _encode(value: SecretBytes) -> str:
    return base64.b64encode(value.reveal()).decode("ascii")


def _decode(answer: Mapping[str, Any]) -> SecretBytes:
    return SecretBytes(base64.b64decode(answer.get("value") or ""))
