"""Flux's part in rendering: which folders its Kustomizations apply, and `postBuild` substitution of `${VAR}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gatekeeper import documents
from gatekeeper.model import Resource
from gatekeeper.render.origin import at, joined

GROUP = "kustomize.toolkit.fluxcd.io/"
DISABLED = "kustomize.toolkit.fluxcd.io/substitute"
VARIABLE = re.compile(r"\$?\$\{([_A-Za-z][_A-Za-z0-9]*)(?:(:?[-=])([^}]*))?\}")
# What YAML would not write without quotes, so that its type cannot change by substitution.
QUOTED = re.compile(r"^[\s\-?:,\[\]{}#&*!|>'\"%@`]|: |\s#|^$|\n|\s$")


@dataclass(frozen=True, slots=True)
class Applied:
    """A folder that a Flux Kustomization applies, and the variables that it sets (None: it substitutes nothing)."""

    folder: str
    variables: Mapping[str, str] | None


def applied(resources: Iterable[Resource], configs: Mapping[tuple[str, str], Mapping[str, str]]) -> list[Applied]:
    """What the repository's Flux Kustomizations apply.

    Args:
        configs: the data of ConfigMaps, by namespace and name, for `substituteFrom`.
    """
    found = []
    for resource in resources:
        if resource.ref.kind != "Kustomization" or not resource.ref.api_version.startswith(GROUP):
            continue
        spec = resource.value.get("spec")
        if isinstance(spec, dict):
            path = spec.get("path", "./")
            if isinstance(path, str) and "${" not in path:
                found.append(Applied(joined("", path.lstrip("/")), _variables(spec, resource.ref.namespace, configs)))
    return found


def _variables(
    spec: dict[str, Any], namespace: str, configs: Mapping[tuple[str, str], Mapping[str, str]]
) -> Mapping[str, str] | None:
    post = spec.get("postBuild")
    if not isinstance(post, dict):
        return None
    variables: dict[str, str] = {}
    for entry in post.get("substituteFrom") or ():
        name = at(entry, ("name",))
        if at(entry, ("kind",)) == "ConfigMap" and isinstance(name, str):
            variables.update(configs.get((namespace, name)) or configs.get(("", name)) or {})
    inline = post.get("substitute")
    if isinstance(inline, dict):
        variables.update({str(name): str(value).replace("\n", "") for name, value in inline.items()})
    return variables


def configs(resources: Iterable[Resource]) -> dict[tuple[str, str], Mapping[str, str]]:
    """The data of all ConfigMaps, by namespace and name."""
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for resource in resources:
        if resource.ref.kind == "ConfigMap":
            data = resource.value.get("data")
            if isinstance(data, dict):
                texts = {name: text for name, text in data.items() if isinstance(text, str)}
                found[(resource.ref.namespace, resource.ref.name)] = texts
    return found


def substituted(resources: Sequence[Resource], variables: Mapping[str, str] | None) -> list[Resource]:
    """The resources with their variables set; what nothing here sets stays as it is."""
    if variables is None:
        return list(resources)
    return [_substituted(resource, variables) if b"${" in resource.json else resource for resource in resources]


def _substituted(resource: Resource, variables: Mapping[str, str]) -> Resource:
    value = resource.value
    for word in ("labels", "annotations"):
        if at(value, ("metadata", word, DISABLED)) == "disabled":
            return resource
    return replace(resource, json=orjson.dumps(_walk(value, variables)))


def _walk(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, variables) for item in value]
    if isinstance(value, str) and "${" in value:
        return _typed(value, expand(value, variables))
    return value


def _typed(before: str, after: str) -> Any:
    """Flux substitutes in YAML text, so what was written without quotes gets its type only now."""
    if after == before or "${" in after or QUOTED.search(before):
        return after
    found, failure = documents.parse(b"v: " + after.encode())
    value = documents.value_of(found[0]).get("v") if found and failure is None else after
    return value if isinstance(value, bool | int | float) else after


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`${VAR}`, `${VAR:-default}`, `${VAR:=default}`, `${VAR-default}`; `$${VAR}` stands for itself."""

    def one(found: re.Match[str]) -> str:
        if found.group(0).startswith("$$"):
            return found.group(0)[1:]
        name, operator, default = found.groups()
        if name in variables and (variables[name] or not (operator or "").startswith(":")):
            return variables[name]
        return found.group(0) if operator is None else default

    return VARIABLE.sub(one, text)
