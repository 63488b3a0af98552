"""Flux's `postBuild` substitution of `${VAR}` in built resources.

Source: https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.model import Resource, get_field
from gatekeeper.render.envsubst import expand_variables
from gatekeeper.workspace import documents

SUBSTITUTE_ANNOTATION = "kustomize.toolkit.fluxcd.io/substitute"
VARIABLE_PATTERN = re.compile(r"\$\{#?[_A-Za-z][_A-Za-z0-9]*")
# Strings that YAML writes in quotes: substitution cannot change their type.
QUOTED_PATTERN = re.compile(r"^[\s\-?:,\[\]{}#&*!|>'\"%@`]|: |\s#|^$|\n|\s$")


def substitute_variables(resources: Sequence[Resource], variables: Mapping[str, str] | None) -> list[Resource]:
    """Substitutes variables in resources; variables without a value stay as they are."""
    # Flux substitutes nothing if there is not a single variable.
    if not variables:
        return list(resources)
    return [_substitute_resource(resource, variables) if b"$" in resource.json else resource for resource in resources]


def _substitute_resource(resource: Resource, variables: Mapping[str, str]) -> Resource:
    value = resource.value
    for word in ("labels", "annotations"):
        if get_field(value, ("metadata", word, SUBSTITUTE_ANNOTATION)) == "disabled":
            return resource
    return resource._replace(json=orjson.dumps(_substitute_value(value, variables)))


def _substitute_value(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _substitute_value(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute_value(item, variables) for item in value]
    if isinstance(value, str) and "$" in value:
        return _retype_value(value, expand_variables(value, variables))
    return value


def _retype_value(before: str, after: str) -> Any:
    """Converts a substituted value: Flux substitutes in YAML text, so an unquoted value gets its type afterwards."""
    if after == before or "${" in after or QUOTED_PATTERN.search(before):
        return after
    parsed_documents, failure = documents.parse(b"v: " + after.encode())
    value = documents.to_value(parsed_documents[0]).get("v") if parsed_documents and failure is None else after
    return value if isinstance(value, bool | int | float) else after
