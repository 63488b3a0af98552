"""SealedSecrets that no controller can open: sealed for another name or namespace, or of two minds about their scope.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1` (the label of the encryption is namespace and name, the
namespace, or nothing, by the scope in the annotations of the SealedSecret itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Resource, get_field
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX, SCOPES, parse_scope

TEMPLATE_METADATA: FieldPath = ("spec", "template", "metadata")
RESEAL_HINT = "seal it again with kubeseal for this name, namespace and scope"


def check_sealed_scope(resources: Sequence[Resource]) -> Iterator[Finding]:
    """What is wrong with the name, namespace and scope of SealedSecrets."""
    sealed = [one for one in resources if one.ref.kind == "SealedSecret" and one.ref.group == "bitnami.com"]
    for resource in sealed:
        yield from _check_template(resource, resource.value)
    yield from _check_copies(sealed)


def _check_template(resource: Resource, value: Any) -> Iterator[Finding]:
    own = parse_scope(get_field(value, ("metadata", "annotations")))
    template = get_field(value, TEMPLATE_METADATA)
    for field, word in (("name", resource.ref.name), ("namespace", resource.ref.namespace)):
        named = get_field(template, (field,))
        # What a controller or kustomize fills in later is not known here.
        if isinstance(named, str) and named and word and named != word:
            message = (
                f"the Secret in it has the {field} `{named}`, the SealedSecret `{word}`: the controller refuses it"
            )
            yield _build_finding(resource, "references/sealed-name", (*TEMPLATE_METADATA, field), message)
    inner = get_field(template, ("annotations",))
    if (
        isinstance(inner, dict)
        and any(ANNOTATION_PREFIX + word in inner for word in SCOPES[1:])
        and parse_scope(inner) != own
    ):
        message = f"its scope is {own} by its own annotations, {parse_scope(inner)} by those of its template"
        yield _build_finding(resource, "references/sealed-scope", (*TEMPLATE_METADATA, "annotations"), message)


def _check_copies(sealed: Sequence[Resource]) -> Iterator[Finding]:
    """The same ciphertext under two labels: it can be opened under one of them at most."""
    first: dict[str, tuple[tuple[str, str], Resource]] = {}
    for resource in sealed:
        value = resource.value
        own = parse_scope(get_field(value, ("metadata", "annotations")))
        if own == "cluster-wide" or not resource.ref.namespace:
            continue
        label = (resource.ref.namespace, "" if own == "namespace-wide" else resource.ref.name)
        entries = get_field(value, ("spec", "encryptedData"))
        for key, text in entries.items() if isinstance(entries, dict) else ():
            known, other = first.setdefault(str(text), (label, resource))
            if known != label:
                message = f"`{key}` is the ciphertext of {other.ref}, copied: it cannot be opened here too"
                yield _build_finding(resource, "references/sealed-copy", ("spec", "encryptedData", key), message)


def _build_finding(resource: Resource, rule: str, path: FieldPath, message: str) -> Finding:
    return Finding(
        rule, "error", message, resource.origin.find_location(path), resource.ref, path, RESEAL_HINT, "field"
    )
