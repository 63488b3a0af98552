"""Sprig templates, gjson paths, Go's regular expressions and jq, evaluated by the libraries that controllers use.

Secret values reach the Go program through a pipe only, and its error messages hold no value. The calls have a process
of their own, so that a template that needs too much memory stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from gatekeeper.gocompat.client import GoFault, decode_result, decode_secret, encode_secret
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.upstream.answers import decode_list
from gatekeeper.upstream.client import UpstreamClient, create_client

SECONDS = 10.0
Result = TypeVar("Result")


class PathLookup(NamedTuple):
    """A gjson path into a JSON text; with `is_raw` the result is the JSON text of the value."""

    document: SecretBytes
    path: str
    is_raw: bool = False


class FieldRemoval(NamedTuple):
    """A JSON object, and jq expressions that name the fields to delete; one that matches nothing is ignored."""

    document: SecretBytes
    expressions: tuple[str, ...]


class PatternRename(NamedTuple):
    """A rename of keys by a regular expression and its replacement."""

    keys: tuple[str, ...]
    source: str
    target: str


def fill_sprig_templates(templates: Sequence[str], data: Mapping[str, SecretBytes]) -> list[SecretBytes | GoFault]:
    """Fills templates with sprig's functions, as the sealed-secrets controller does; one result for each.

    Args:
        data: the values that the templates use, by name.

    Raises:
        ToolError: the program is not built, took too long, or needed too much memory.
    """
    values = {key: encode_secret(value) for key, value in data.items()}
    return _evaluate("templates", list(templates), decode_result, values)


def look_up_paths(lookups: Sequence[PathLookup]) -> list[SecretBytes | None]:
    """Looks up paths; one result for each, None for a path that leads nowhere.

    Raises:
        ToolError: see `fill_sprig_templates`.
    """
    items = [{"json": encode_secret(lookup.document), "path": lookup.path, "raw": lookup.is_raw} for lookup in lookups]
    return _evaluate("lookups", items, lambda result: decode_secret(result) if result["found"] else None)


def rename_by_pattern(rename: PatternRename) -> list[str] | GoFault:
    """The new names of some keys, in their order.

    Raises:
        ToolError: see `fill_sprig_templates`.
    """
    [result] = _evaluate("renames", [rename._asdict()], _decode_names)
    return result


def _decode_names(result: Mapping[str, Any]) -> list[str] | GoFault:
    return list(result.get("names") or ()) if result["found"] else GoFault(result["fault"])


def remove_fields(removal: FieldRemoval) -> SecretBytes | GoFault:
    """The object without some fields, as JSON.

    Raises:
        ToolError: see `fill_sprig_templates`.
    """
    item = {"json": encode_secret(removal.document), "expressions": list(removal.expressions)}
    [result] = _evaluate("removals", [item], decode_result)
    return result


@cache
def _open_client() -> UpstreamClient:
    return create_client("")


def _evaluate(
    kind: str, items: Sequence[Any], decode: Callable[[Any], Result], data: Mapping[str, str] | None = None
) -> list[Result]:
    """The result for each item of one kind."""
    answer = _open_client().call("expressions", {"data": data or {}, kind: list(items)}, SECONDS)
    return decode_list(decode, answer, len(items))
