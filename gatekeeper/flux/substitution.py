"""The values for `${VAR}` that a Kustomization takes from ConfigMaps and Secrets of its namespace.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (post build variable substitution), fluxcd/pkg
`kustomize/kustomize_varsub.go`: later ones win, and what stands in the Kustomization itself wins over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

from gatekeeper.apply.order import Object
from gatekeeper.errors import SpecError
from gatekeeper.model import get_field
from gatekeeper.secret_value import SecretBytes

# What is shorter stands in too many texts to be hidden in them.
MIN_MASKED_LENGTH = 4
# The data of an object of a namespace, given its kind and name; None where it is not there.
ValueLookup = Callable[[str, str], Mapping[str, SecretBytes] | None]


def inline_values(kustomization: Object, lookup: ValueLookup) -> tuple[Object, tuple[SecretBytes, ...]]:
    """A Kustomization with all values in itself, and those of them that are secret.

    Raises:
        SpecError: a ConfigMap or Secret is not there, and is not optional.
    """
    listed = get_field(kustomization, ("spec", "postBuild", "substituteFrom"))
    if not isinstance(listed, list):
        return kustomization, ()
    values: dict[str, str] = {}
    secret: list[SecretBytes] = []
    for one in listed:
        kind, name = str(one.get("kind")), str(one.get("name"))
        if kind not in ("ConfigMap", "Secret"):
            raise SpecError(f"`spec.postBuild.substituteFrom` names a {kind}: it can be a ConfigMap or a Secret")
        found = lookup(kind, name)
        if found is None:
            if one.get("optional"):
                continue
            raise SpecError(f"`spec.postBuild.substituteFrom` names the {kind} {name}, which is not there")
        secret += found.values() if kind == "Secret" else ()
        values |= {key: held.reveal().decode("utf-8", "replace").replace("\n", "") for key, held in found.items()}
    whole = deepcopy(kustomization)
    post = whole["spec"]["postBuild"]
    del post["substituteFrom"]
    post["substitute"] = {**values, **(post.get("substitute") or {})}
    return whole, tuple(secret)


def mask_secrets(text: str, secrets: Iterable[SecretBytes]) -> str:
    """A text in which secret values that may have come into it are covered."""
    for one in secrets:
        plain = one.reveal().decode("utf-8", "replace").replace("\n", "")
        if len(plain) >= MIN_MASKED_LENGTH:
            text = text.replace(plain, "…")
    return text
