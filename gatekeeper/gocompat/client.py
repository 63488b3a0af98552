"""Go templates, gjson paths, Go's regular expressions and jq, run by the real Go libraries.

`main.go` in this folder is the whole program; it is built like any other tool. It fills templates with the functions of
external-secrets or of the sealed-secrets controller, looks up paths with gjson, renames keys, and deletes fields with
jq. Secret values reach it through a pipe only, and its error messages hold no value.
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
TIMEOUT_ADVICE = "a template may loop forever, or need more than 512 MB"
TemplateEngine = Literal["external-secrets", "external-secrets-v1", "sealed-secrets"]
_PROGRAMS = LineProcessPool(partial(DEFAULT_TOOLCHAIN.find, "gotemplate"), SECONDS, TIMEOUT_ADVICE)


class KeyRename(NamedTuple):
    """A rename of keys: by a regular expression and its replacement, or by a template that has each key as `.value`."""

    keys: tuple[str, ...]
    source: str = ""
    target: str = ""
    template: str = ""


class PathLookup(NamedTuple):
    """A gjson path into a JSON text; with `is_raw` the result is the JSON text of the value."""

    document: SecretBytes
    path: str
    is_raw: bool = False


class FieldRemoval(NamedTuple):
    """A JSON object, and jq expressions that name the fields to delete; one that matches nothing is ignored."""

    document: SecretBytes
    expressions: tuple[str, ...]


class GoFault(NamedTuple):
    """Why a template, pattern or expression failed, with its place in the text."""

    reason: str


def fill_templates(
    templates: Sequence[str], data: Mapping[str, SecretBytes], engine: TemplateEngine = "external-secrets"
) -> list[SecretBytes | GoFault]:
    """Fills templates; one result for each.

    Args:
        data: the values that the templates use, by name.
        engine: whose template functions there are.

    Raises:
        ToolError: the program is not built, took too long, or needed too much memory.
    """
    values = {key: _encode(value) for key, value in data.items()}
    return [_decode_result(result) for result in _send("templates", list(templates), engine, values)]


def look_up_paths(lookups: Sequence[PathLookup]) -> list[SecretBytes | None]:
    """Looks up paths; one result for each, None for a path that leads nowhere.

    Raises:
        ToolError: see `fill_templates`.
    """
    items = [{"json": _encode(lookup.document), "path": lookup.path, "raw": lookup.is_raw} for lookup in lookups]
    return [_decode(result) if result["found"] else None for result in _send("lookups", items)]


def rename_keys(rename: KeyRename) -> list[str] | GoFault:
    """The new names of some keys, in their order.

    Raises:
        ToolError: see `fill_templates`.
    """
    [result] = _send("renames", [rename._asdict()])
    return list(result["names"]) if result["found"] else GoFault(result["fault"])


def remove_fields(removal: FieldRemoval) -> SecretBytes | GoFault:
    """The object without some fields, as JSON.

    Raises:
        ToolError: see `fill_templates`.
    """
    [result] = _send("removals", [{"json": _encode(removal.document), "expressions": list(removal.expressions)}])
    return _decode_result(result)


def _send(
    kind: str, items: Sequence[Any], engine: TemplateEngine = "external-secrets", data: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Sends items of one kind to the program, and returns its result for each."""
    request: dict[str, Any] = {
        "engine": engine,
        "data": data or {},
        "templates": [],
        "lookups": [],
        "renames": [],
        "removals": [],
    }
    reply = orjson.loads(_PROGRAMS.send_request(orjson.dumps({**request, kind: items})))
    results: list[dict[str, Any]] = reply[kind]
    return results


def _encode(value: SecretBytes) -> str:
    return base64.b64encode(value.reveal()).decode("ascii")


def _decode(result: Mapping[str, Any]) -> SecretBytes:
    return SecretBytes(base64.b64decode(result.get("value") or ""))


def _decode_result(result: Mapping[str, Any]) -> SecretBytes | GoFault:
    return _decode(result) if result["found"] else GoFault(result["fault"])
