"""SealedSecrets that the controller cannot decrypt: sealed for another name or namespace, or with conflicting scopes.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1` (the label of the encryption is namespace and name, the
namespace, or nothing, by the scope in the annotations of the SealedSecret itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Resource, get_field
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX, SCOPES, parse_scope

SEALED_SECRET = ("bitnami.com", "SealedSecret")
TEMPLATE_METADATA: FieldPath = ("spec", "template", "metadata")
RESEAL_HINT = "seal it again with kubeseal for this name, namespace and scope"


def check_sealed_scope(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Yields a finding for each name, namespace or scope for which the values of a SealedSecret are not sealed."""
    sealed = [resource for resource in resources if (resource.ref.group, resource.ref.kind) == SEALED_SECRET]
    for resource in sealed:
        yield from _check_template(resource, resource.value)
    yield from _check_copies(sealed)


def _check_template(resource: Resource, value: Any) -> Iterator[Finding]:
    own_scope = parse_scope(get_field(value, ("metadata", "annotations")))
    template = get_field(value, TEMPLATE_METADATA)
    for field, own_value in (("name", resource.ref.name), ("namespace", resource.ref.namespace)):
        template_value = get_field(template, (field,))
        # An empty value is filled in later by kustomize or the controller.
        if isinstance(template_value, str) and template_value and own_value and template_value != own_value:
            message = (
                f"the controller refuses a Secret template with the {field} `{template_value}` "
                f"in a SealedSecret with the {field} `{own_value}`"
            )
            path = (*TEMPLATE_METADATA, field)
            yield resource.build_finding("references/sealed-name", message, path, hint=RESEAL_HINT)
    annotations = get_field(template, ("annotations",))
    if (
        isinstance(annotations, dict)
        and any(ANNOTATION_PREFIX + scope in annotations for scope in SCOPES[1:])
        and parse_scope(annotations) != own_scope
    ):
        template_scope = parse_scope(annotations)
        message = f"the SealedSecret has the scope {own_scope} by its annotations, its template {template_scope}"
        path = (*TEMPLATE_METADATA, "annotations")
        yield resource.build_finding("references/sealed-scope", message, path, hint=RESEAL_HINT)


def _check_copies(sealed: Sequence[Resource]) -> Iterator[Finding]:
    """Finds ciphertext under two encryption labels: it can be decrypted under one of them at most."""
    first_uses: dict[str, tuple[tuple[str, str], Resource]] = {}
    for resource in sealed:
        value = resource.value
        scope = parse_scope(get_field(value, ("metadata", "annotations")))
        if scope == "cluster-wide" or not resource.ref.namespace:
            continue
        label = (resource.ref.namespace, "" if scope == "namespace-wide" else resource.ref.name)
        entries = get_field(value, ("spec", "encryptedData"))
        for key, text in entries.items() if isinstance(entries, dict) else ():
            first_label, other = first_uses.setdefault(str(text), (label, resource))
            if first_label != label:
                message = f"`{key}` is a copy of ciphertext in {other.ref}, so it cannot be decrypted here"
                path = ("spec", "encryptedData", key)
                yield resource.build_finding("references/sealed-copy", message, path, hint=RESEAL_HINT)
