"""Flux's changes of built resources: `postBuild` substitution of `${VAR}`, and `commonMetadata`.

Flux writes each object as YAML text, substitutes in it, and reads it again: a value can become a number, a list, or
break the text.

Sources: https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution, fluxcd/pkg
`kustomize/kustomize_varsub.go` and `ssa/utils` (SetCommonMetadata).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.model import Finding, Gap, Resource, build_ref, get_field
from gatekeeper.render.envsubst import expand_variables
from gatekeeper.render.model import BuildOutput
from gatekeeper.workspace import documents

SUBSTITUTE_ANNOTATION = "kustomize.toolkit.fluxcd.io/substitute"
VARIABLE_PATTERN = re.compile(r"\$\{#?[_A-Za-z][_A-Za-z0-9]*")


def substitute_variables(resources: Sequence[Resource], variables: Mapping[str, str] | None) -> BuildOutput:
    """Substitutes variables in resources; variables without a value stay as they are.

    A resource that is no object afterwards is a finding and a fatal gap.
    """
    output = BuildOutput([], [], [])
    for resource in resources:
        # Flux substitutes nothing where there is not a single variable.
        if not variables or b"$" not in resource.json:
            output.resources.append(resource)
        else:
            _substitute_resource(resource, variables, output)
    return output


def _substitute_resource(resource: Resource, variables: Mapping[str, str], output: BuildOutput) -> None:
    value = resource.value
    for word in ("labels", "annotations"):
        if get_field(value, ("metadata", word, SUBSTITUTE_ANNOTATION)) == "disabled":
            output.resources.append(resource)
            return
    # Imported here: PyYAML takes longer than the commit hook may, and most objects have no variable.
    from gatekeeper.render.yaml_text import write_object

    text = write_object(value)
    substituted = expand_variables(text, variables)
    if substituted == text:
        output.resources.append(resource)
        return
    read, failure = documents.parse(substituted.encode())
    after = documents.to_value(read[0]) if read and failure is None else None
    if after is not None and documents.is_resource(after):
        output.resources.append(Resource(build_ref(after), orjson.dumps(after), resource.origin))
        return
    reason = failure[0] if failure else "it is not a Kubernetes object"
    message = f"{resource.ref} cannot be read after the substitution of `postBuild`: {reason}"
    hint = "Flux substitutes in YAML text: write quotes into the value itself, or choose another value"
    place = resource.origin.find_location(())
    output.findings.append(Finding("render/substitute", "error", message, place, resource.ref, hint=hint))
    output.gaps.append(Gap(place.file, message, is_fatal=True))


def set_common_metadata(resources: Sequence[Resource], metadata: Any) -> list[Resource]:
    """The resources with the labels and annotations of `commonMetadata`, which override their own."""
    added = {word: get_field(metadata, (word,)) for word in ("labels", "annotations")}
    if not any(isinstance(held, dict) and held for held in added.values()):
        return list(resources)
    return [_set_metadata(resource, added) for resource in resources]


def _set_metadata(resource: Resource, added: Mapping[str, Any]) -> Resource:
    value = resource.value
    metadata = value.get("metadata")
    value["metadata"] = metadata = dict(metadata) if isinstance(metadata, dict) else {}
    for word, held in added.items():
        if isinstance(held, dict) and held:
            metadata[word] = {**(metadata.get(word) or {}), **held}
    return resource._replace(json=orjson.dumps(value))
