"""SealedSecrets that no controller can open: sealed for another name or namespace, or of two minds about their scope.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1` (the label of the encryption is namespace and name, the
namespace, or nothing, by the scope in the annotations of the SealedSecret itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Resource, at
from gatekeeper.sealedsecrets.scope import PREFIX, SCOPES, scope_of

TEMPLATE: FieldPath = ("spec", "template", "metadata")
HINT = "seal it again with kubeseal for this name, namespace and scope"


def judge(resources: Sequence[Resource]) -> Iterator[Finding]:
    """What is wrong with the name, namespace and scope of SealedSecrets."""
    sealed = [one for one in resources if one.ref.kind == "SealedSecret" and one.ref.group == "bitnami.com"]
    for resource in sealed:
        yield from _agreement(resource, resource.value)
    yield from _copied(sealed)


def _agreement(resource: Resource, value: Any) -> Iterator[Finding]:
    own = scope_of(at(value, ("metadata", "annotations")))
    template = at(value, TEMPLATE)
    for field, word in (("name", resource.ref.name), ("namespace", resource.ref.namespace)):
        named = at(template, (field,))
        # What a controller or kustomize fills in later is not known here.
        if isinstance(named, str) and named and word and named != word:
            message = (
                f"the Secret in it has the {field} `{named}`, the SealedSecret `{word}`: the controller refuses it"
            )
            yield _finding(resource, "references/sealed-name", (*TEMPLATE, field), message)
    inner = at(template, ("annotations",))
    if isinstance(inner, dict) and any(PREFIX + word in inner for word in SCOPES[1:]) and scope_of(inner) != own:
        message = f"its scope is {own} by its own annotations, {scope_of(inner)} by those of its template"
        yield _finding(resource, "references/sealed-scope", (*TEMPLATE, "annotations"), message)


def _copied(sealed: Sequence[Resource]) -> Iterator[Finding]:
    """The same ciphertext under two labels: it can be opened under one of them at most."""
    first: dict[str, tuple[tuple[str, str], Resource]] = {}
    for resource in sealed:
        value = resource.value
        own = scope_of(at(value, ("metadata", "annotations")))
        if own == "cluster-wide" or not resource.ref.namespace:
            continue
        label = (resource.ref.namespace, "" if own == "namespace-wide" else resource.ref.name)
        entries = at(value, ("spec", "encryptedData"))
        for key, text in entries.items() if isinstance(entries, dict) else ():
            known, other = first.setdefault(str(text), (label, resource))
            if known != label:
                message = f"`{key}` is the ciphertext of {other.ref}, copied: it cannot be opened here too"
                yield _finding(resource, "references/sealed-copy", ("spec", "encryptedData", key), message)


def _finding(resource: Resource, rule: str, path: FieldPath, message: str) -> Finding:
    return Finding(rule, "error", message, resource.origin.place(path), resource.ref, path, HINT, "field")
