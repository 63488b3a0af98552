"""Flux's substitution of `${VAR}` in built resources (`postBuild`).

Flux writes each object as YAML text, substitutes in it, and reads it again: a value can become a number, a list, or
break the text. Its own library does so here. A variable that nothing sets stays as it is, where Flux would write
nothing: no value is guessed.

Sources: https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution, fluxcd/pkg
`kustomize/kustomize_varsub.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Resource, build_ref, get_field
from gatekeeper.render.model import AppliedFolder, BuildOutput
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.substitution import substitute_objects
from gatekeeper.workspace import documents

SUBSTITUTE_ANNOTATION = "kustomize.toolkit.fluxcd.io/substitute"
NAME_PATTERN = compile_lazily(r"[_A-Za-z][_A-Za-z0-9]*")
VALUE_HINT = "Flux substitutes in YAML text: write quotes into the value itself, or choose another value"
REFERENCE_HINT = (
    "Flux reads every `${`: write `$${` for a literal one, or disable substitution for this object with the annotation "
    f"{SUBSTITUTE_ANNOTATION}: disabled"
)


def substitute_variables(
    client: UpstreamClient, resources: Sequence[Resource], variables: Mapping[str, str] | None
) -> BuildOutput:
    """Substitutes variables in resources; variables without a value stay as they are.

    A resource that Flux cannot substitute in, or that is no object afterwards, is a finding and a fatal gap.
    """
    # Flux substitutes nothing where there is not a single variable.
    chosen = [
        number
        for number, resource in enumerate(resources)
        if variables and b"$" in resource.json and not _is_disabled(resource)
    ]
    output = BuildOutput([], [], [])
    try:
        answers = substitute_objects(client, [resources[number].json for number in chosen], variables or {})
    except ToolError as error:
        place = resources[chosen[0]].origin.find_location(())
        reason = f"the variables of `postBuild` cannot be substituted in {len(chosen)} objects: {error}"
        output.gaps.append(Gap(place.file, reason, is_fatal=True))
        return output._replace(resources=list(resources))
    found = dict(zip(chosen, answers, strict=True))
    for number, resource in enumerate(resources):
        answer = found.get(number)
        if answer is None or (answer.value is None and not answer.fault):
            output.resources.append(resource)
        elif documents.is_resource(answer.value):
            output.resources.append(Resource(build_ref(answer.value), orjson.dumps(answer.value), resource.origin))
        else:
            _report_fault(resource, answer.fault, output)
    return output


def _is_disabled(resource: Resource) -> bool:
    if SUBSTITUTE_ANNOTATION.encode() not in resource.json:
        return False
    value = resource.value
    places = (("metadata", word, SUBSTITUTE_ANNOTATION) for word in ("labels", "annotations"))
    return any(get_field(value, place) == "disabled" for place in places)


def _report_fault(resource: Resource, fault: str, output: BuildOutput) -> None:
    is_text_broken = not fault or "yaml" in fault
    action = "be read after" if is_text_broken else "be changed by"
    reason = fault or "it is not a Kubernetes object"
    message = f"{resource.ref} cannot {action} the substitution of `postBuild`: {reason}"
    hint = VALUE_HINT if is_text_broken else REFERENCE_HINT
    place = resource.origin.find_location(())
    output.findings.append(Finding("render/substitute", "error", message, place, resource.ref, hint=hint))
    output.gaps.append(Gap(place.file, message, is_fatal=True))


def find_invalid_names(applied: AppliedFolder) -> list[Finding]:
    """Finds variables whose names Flux refuses: then it applies nothing.

    Source: fluxcd/pkg `kustomize/kustomize_varsub.go` (varsubRegex).
    """
    hint = "use letters, digits and `_`, and begin with no digit"
    findings = []
    for name in applied.variables or ():
        if not NAME_PATTERN.fullmatch(name):
            message = f"the variable `{name}` of `postBuild` has a name that Flux refuses"
            path = ("spec", "postBuild", "substitute", name)
            findings.append(applied.applier.build_finding("render/substitute", message, path, hint=hint))
    return findings
