"""Flux's `postBuild` substitution of `${VAR}` in what was built (https://fluxcd.io/flux/components/kustomize/)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.model import Resource, at
from gatekeeper.render.envsubst import expand
from gatekeeper.workspace import documents

DISABLED = "kustomize.toolkit.fluxcd.io/substitute"
VARIABLE = re.compile(r"\$\{#?[_A-Za-z][_A-Za-z0-9]*")
# What YAML would not write without quotes, so that its type cannot change by substitution.
QUOTED = re.compile(r"^[\s\-?:,\[\]{}#&*!|>'\"%@`]|: |\s#|^$|\n|\s$")


def substituted(resources: Sequence[Resource], variables: Mapping[str, str] | None) -> list[Resource]:
    """The resources with their variables set; what nothing here sets stays as it is."""
    # Without a single variable Flux looks for none.
    if not variables:
        return list(resources)
    return [_substituted(resource, variables) if b"$" in resource.json else resource for resource in resources]


def _substituted(resource: Resource, variables: Mapping[str, str]) -> Resource:
    value = resource.value
    for word in ("labels", "annotations"):
        if at(value, ("metadata", word, DISABLED)) == "disabled":
            return resource
    return resource._replace(json=orjson.dumps(_walk(value, variables)))


def _walk(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, variables) for item in value]
    if isinstance(value, str) and "$" in value:
        return _typed(value, expand(value, variables))
    return value


def _typed(before: str, after: str) -> Any:
    """Flux substitutes in YAML text, so what was written without quotes gets its type only now."""
    if after == before or "${" in after or QUOTED.search(before):
        return after
    found, failure = documents.parse(b"v: " + after.encode())
    value = documents.value_of(found[0]).get("v") if found and failure is None else after
    return value if isinstance(value, bool | int | float) else after
