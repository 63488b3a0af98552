"""Lines for Rego that knows nothing of lines: which part of a resource a finding comes from, found by evaluation.

Take one part away and ask again: where the finding goes away lies its cause. Parts are tried from the top down. Where
nothing that is there is the cause, something is missing: then the paths that the rule reads tell where it would be.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import orjson

from gatekeeper.engines.rego.policies import Module
from gatekeeper.model import FieldPath
from gatekeeper.roles import RegoEngine

REFERENCE = re.compile(r"\binput((?:\.\w+|\[[^\]\n]*\])+)")
STEP = re.compile(r"\.(\w+)|\[\"([^\"]*)\"\]|\[([^\]]*)\]")
# What a rule selects by: without these it finds nothing, but they are not what it finds fault with.
IDENTITY: set[FieldPath] = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
MOST_CHILDREN = 200


class Tracer:
    """Traces findings of one engine; remembers where a rule's last finding lay, since the next is often there too."""

    def __init__(self, engine: RegoEngine, modules: dict[str, Module]) -> None:
        self._engine = engine
        self._modules = modules
        self._last: dict[tuple[str, str], FieldPath] = {}

    def trace(self, query: str, value: Any, message: str) -> FieldPath | None:
        """The path of the cause, or None where neither evaluation nor the rule's text shows one."""
        key = (query, str(value.get("kind")))
        guess = self._last.get(key)
        if guess and _exists(value, guess) and self._gone(query, value, message, [guess])[0]:
            return guess
        path: FieldPath = ()
        while True:
            children = [step for step in _children(value, path) if step not in IDENTITY][:MOST_CHILDREN]
            causes = [
                child for child, gone in zip(children, self._gone(query, value, message, children), strict=True) if gone
            ]
            if len(causes) != 1:
                break
            path = causes[0]
        if path:
            self._last[key] = path
            return path
        return self._read(query, value)

    def _gone(self, query: str, value: Any, message: str, paths: list[FieldPath]) -> list[bool]:
        inputs = [(orjson.dumps(_without(value, path)), (query,)) for path in paths]
        if not inputs:
            return []
        here = set()
        for answer in self._engine.evaluate(inputs):
            if answer.error or any(words == message for words in messages(answer.value)):
                here.add(answer.input)
        return [number not in here for number in range(len(paths))]

    def _read(self, query: str, value: Any) -> FieldPath | None:
        """The longest existing part of a path that the rule's module reads, and that is not there as a whole."""
        module = self._modules.get(query)
        if module is None:
            return None
        best: FieldPath | None = None
        for reference in REFERENCE.findall(module.text):
            existing = _prefix(value, reference)
            if existing and existing not in IDENTITY and (best is None or len(existing) > len(best)):
                best = existing
        return best


def messages(value: Any) -> list[str]:
    """The texts in a rule's answer: strings, or objects with `msg`."""
    items = value if isinstance(value, list) else [value]
    return [item.get("msg", "") if isinstance(item, dict) else str(item) for item in items]


def _children(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    for step in path:
        value = value[step]
    if isinstance(value, dict):
        yield from ((*path, key) for key in value)
    elif isinstance(value, list):
        yield from ((*path, index) for index in range(len(value)))


def _exists(value: Any, path: FieldPath) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _without(value: Any, path: FieldPath) -> Any:
    out = copy.copy(value)
    inner = out
    for step in path[:-1]:
        inner[step] = copy.copy(inner[step])
        inner = inner[step]
    del inner[path[-1]]
    return out


def _prefix(value: Any, reference: str) -> FieldPath:
    """How far a reference such as `.spec.containers[_].image` leads into a value, the first item for a variable."""
    path: FieldPath = ()
    for name, quoted, index in STEP.findall(reference):
        step: str | int = name or quoted
        if index or not step:
            step = int(index) if index.isdigit() else 0
        if not _exists(value, (*path, step)):
            break
        path = (*path, step)
    return path
