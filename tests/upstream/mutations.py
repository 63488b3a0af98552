"""Manifests with seeded faults: what people get wrong in manifests, at a random place of a valid one."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MANIFESTS = Path(__file__).parent / "manifests"
CRD = "CustomResourceDefinition"
# The kind of the request; with another one it would be another request.
FIXED = {("apiVersion",), ("kind",)}
Steps = tuple[str | int, ...]

TEXTS = (
    "",
    "UPPER",
    "under_score",
    "a b",
    "-dash",
    "a" * 64,
    "a" * 254,
    "a.b.c",
    "1GB",
    "lots",
    "-1",
    "0",
    "10%",
    "110%",
    "1.5",
    "500m",
    "http",
    "*",
    "true",
    "é",
    "a/b/c",
    "..",
    "https://example.com",
    "10.0.0.1",
    "10.0.0.0/33",
    "::1",
)
NUMBERS = (-1, 0, 1, 65535, 65536, 99999, 2**31, 2**63, 1.5, -(2**31))
OTHER_TYPES: tuple[Any, ...] = ("text", 7, True, None, [], {}, ["text"], {"key": "text"}, [{}], 2.5)


class Mutant(NamedTuple):
    """A manifest with a fault, and what was done to it."""

    value: dict[str, Any]
    change: str


def load_manifests() -> list[dict[str, Any]]:
    """The valid manifests, definitions first."""
    found = [one for path in sorted(MANIFESTS.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    return sorted(found, key=lambda one: one["kind"] != CRD)


def mutate(manifests: list[dict[str, Any]], count: int, seed: int) -> Iterator[Mutant]:
    """Mutants of manifests, each manifest as often as the others; always the same for a seed."""
    chance = random.Random(seed)
    for number in range(count):
        value = copy.deepcopy(manifests[number % len(manifests)])
        changes = [_mutate_once(value, chance) for _ in range(chance.choice((1, 1, 1, 2)))]
        yield Mutant(value, " and ".join(changes))


def _mutate_once(value: dict[str, Any], chance: random.Random) -> str:
    places = [place for place in _walk(value) if place not in FIXED]
    place = chance.choice(places)
    parent = _get(value, place[:-1])
    return f"{'.'.join(map(str, place))}: {_change(parent, place[-1], chance)}"


def _change(parent: Any, step: str | int, chance: random.Random) -> str:
    """Changes one place; what was done."""
    old = parent[step]
    action = chance.choice(_actions(parent, old))
    if action == "drop":
        del parent[step]
    elif action == "type":
        parent[step] = copy.deepcopy(chance.choice(OTHER_TYPES))
    elif action == "text":
        parent[step] = chance.choice(TEXTS)
    elif action == "number":
        parent[step] = chance.choice(NUMBERS)
    elif action == "case":
        parent[step] = old.swapcase()
    elif action == "typo":
        parent[step] = old + chance.choice("xX-_ .")
    elif action == "rename":
        name = str(step)
        renamed = chance.choice((name + "s", name.lower(), name.upper(), name[:-1], name.capitalize()))
        parent[renamed] = parent.pop(step)
    elif action == "unknown":
        old[chance.choice(("unknownField", "Name", "a.b", "image"))] = chance.choice(("x", 1, {}))
    elif action == "repeat":
        parent.append(copy.deepcopy(old))
    elif action == "empty":
        old.clear()
    return f"{action} {parent[step]!r}"[:80] if _has(parent, step) else action


def _actions(parent: Any, old: Any) -> list[str]:
    found = ["drop", "type"]
    if isinstance(old, str):
        found += ["text", "text", "text", "case", "typo"]
    elif isinstance(old, bool):
        found += ["type"]
    elif isinstance(old, int | float):
        found += ["number"] * 3
    elif isinstance(old, dict):
        found += ["unknown", "unknown", "empty"]
    elif isinstance(old, list):
        found += ["empty"]
    if isinstance(parent, list):
        found += ["repeat", "repeat"]
    else:
        found += ["rename"]
    return found


def _has(parent: Any, step: str | int) -> bool:
    return step in parent if isinstance(parent, dict) else isinstance(step, int) and step < len(parent)


def _walk(value: Any, place: Steps = ()) -> Iterator[Steps]:
    """Every place below a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield (*place, step)
        yield from _walk(inner, (*place, step))


def _get(value: Any, place: Steps) -> Any:
    for step in place:
        value = value[step]
    return value
