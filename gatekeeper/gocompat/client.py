"""Go templates of external-secrets, filled by its own engines.

`main.go` in this folder is the whole program. It is apart from `gatekeeper-upstream`, because external-secrets does not
compile with the versions of Kubernetes' libraries there. Secret values reach it through a pipe only, and its error
messages hold no value.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.host.process import LineProcessPool
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

SECONDS = 10.0
TIMEOUT_ADVICE = "a template may loop forever, or need more than 512 MB"
TemplateEngine = Literal["external-secrets", "external-secrets-v1"]
_PROGRAMS = LineProcessPool(partial(DEFAULT_TOOLCHAIN.find, "gotemplate"), SECONDS, TIMEOUT_ADVICE)


class KeyRename(NamedTuple):
    """A rename of keys by a template that has each key as `.value`."""

    keys: tuple[str, ...]
    template: str


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
    values = {key: encode_secret(value) for key, value in data.items()}
    return [decode_result(result) for result in _send("templates", list(templates), engine, values)]


def rename_keys(rename: KeyRename) -> list[str] | GoFault:
    """The new names of some keys, in their order.

    Raises:
        ToolError: see `fill_templates`.
    """
    [result] = _send("renames", [rename._asdict()])
    return list(result["names"]) if result["found"] else GoFault(result["fault"])


def _send(
    kind: str, items: Sequence[Any], engine: TemplateEngine = "external-secrets", data: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Sends items of one kind to the program, and returns its result for each.

    Raises:
        ToolError: see `fill_templates`, or the program answers something else.
    """
    request: dict[str, Any] = {"engine": engine, "data": data or {}, "templates": [], "renames": []}
    reply = _PROGRAMS.send_request(orjson.dumps({**request, kind: items}))
    try:
        results: list[dict[str, Any]] = orjson.loads(reply)[kind]
        if [type(result["found"]) for result in results] == [bool] * len(items):
            return results
    except (LookupError, TypeError, ValueError):
        pass
    # Without its text, which can hold a secret.
    raise ToolError(
        "gotemplate answered in a form that Gatekeeper does not know; run `gatekeeper tools install gotemplate`"
    )


def encode_secret(value: SecretBytes) -> str:
    """A secret value in Base64, for a pipe."""
    return base64.b64encode(value.reveal()).decode("ascii")


def decode_secret(result: Mapping[str, Any]) -> SecretBytes:
    """The secret value of a result."""
    return SecretBytes(base64.b64decode(result.get("value") or ""))


def decode_result(result: Mapping[str, Any]) -> SecretBytes | GoFault:
    """The secret value of a result, or its fault."""
    return decode_secret(result) if result["found"] else GoFault(result["fault"])
