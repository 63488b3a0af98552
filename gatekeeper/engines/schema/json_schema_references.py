"""References within a JSON Schema: those that never end, or that expand to more than fits into memory.

Source: JSON Schema 2020-12, 9.4.1 "Guarding Against Infinite Recursion": a schema must not make a validator loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from gatekeeper.errors import PolicyError

# A validator compiles the target of a reference again for each reference.
MAX_EXPANSIONS = 100_000
# Keywords whose schemas apply to the same value as the schema that contains them.
IN_PLACE_LISTS, IN_PLACE_SCHEMAS = ("allOf", "anyOf", "oneOf"), ("not", "if", "then", "else")
VALUES = ("const", "enum", "default", "examples")
References = Mapping[str, list[str]]


def reject_endless_references(schema: Mapping[str, Any]) -> None:
    """Refuses a schema whose references lead back to themselves for the same value, or expand without measure.

    Raises:
        PolicyError: with the reference.
    """
    every = _collect_references(schema, _iterate_references)
    if sum(map(len, every.values())) == 0:
        return
    in_place = _collect_references(schema, _iterate_in_place)
    order, cycle = _sort_targets(in_place)
    if cycle:
        raise PolicyError(f"`$ref: {cycle}` leads back to itself for the same value, so validation never ends")
    order, _ = _sort_targets(every)
    counts: dict[str, int] = {}
    for target in order:
        counts[target] = 1 + sum(counts.get(other, 0) for other in every[target])
        if counts[target] > MAX_EXPANSIONS:
            raise PolicyError(f"the references below `{target}` expand to more than {MAX_EXPANSIONS:,} schemas")


def _collect_references(schema: Mapping[str, Any], iterate: Callable[[Any], Iterator[str]]) -> dict[str, list[str]]:
    """The references below each target, beginning with the schema itself, `#`."""
    found: dict[str, list[str]] = {}
    waiting = ["#"]
    while waiting:
        target = waiting.pop()
        if target not in found:
            found[target] = list(iterate(_resolve(schema, target)))
            waiting.extend(found[target])
    return found


def _resolve(schema: Any, reference: str) -> Any:
    """What a reference within a schema names; None if it is missing, which the validator reports."""
    value = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _iterate_references(value: Any) -> Iterator[str]:
    """All local references below a value."""
    if isinstance(value, dict):
        yield from _iterate_own(value)
        # Definitions count where they are used.
        for key, part in value.items():
            if key not in (*VALUES, "$defs", "definitions"):
                yield from _iterate_references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _iterate_references(part)


def _iterate_in_place(value: Any) -> Iterator[str]:
    """The local references that apply to the same value as a schema."""
    if not isinstance(value, dict):
        return
    yield from _iterate_own(value)
    lists = [value[key] for key in IN_PLACE_LISTS if isinstance(value.get(key), list)]
    for part in (*(part for entries in lists for part in entries), *(value.get(key) for key in IN_PLACE_SCHEMAS)):
        yield from _iterate_in_place(part)


def _iterate_own(schema: Mapping[str, Any]) -> Iterator[str]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        yield reference


def _sort_targets(graph: References) -> tuple[list[str], str]:
    """The targets, each behind those that it refers to; and one that leads back to itself, if there is any."""
    order: list[str] = []
    cycle = ""
    state: dict[str, bool] = {}
    for root in graph:
        waiting = [(root, iter(graph[root]))] if root not in state else []
        state.setdefault(root, False)
        while waiting:
            target, others = waiting[-1]
            other = next(others, None)
            if other is None:
                waiting.pop()
                state[target] = True
                order.append(target)
            elif other not in state:
                state[other] = False
                waiting.append((other, iter(graph[other])))
            elif not state[other]:
                cycle = cycle or other
    return order, cycle
