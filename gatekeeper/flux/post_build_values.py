"""The values that a Kustomization takes from ConfigMaps and Secrets of its namespace for `${VAR}`.

Later sources override earlier ones, and `substitute` of the Kustomization overrides all of them.
Source: kustomize-controller `docs/spec/v1/kustomizations.md` (post build variable substitution), fluxcd/pkg
`kustomize/kustomize_varsub.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

from gatekeeper.errors import SpecError
from gatekeeper.model import Object, get_field
from gatekeeper.secret_value import SecretBytes

# Shorter values occur in too many texts to be masked in them.
MIN_MASKED_LENGTH = 4
# The data of an object in the namespace, given its kind and name; None if it does not exist.
ValueLookup = Callable[[str, str], Mapping[str, SecretBytes] | None]


def inline_values(kustomization: Object, lookup: ValueLookup) -> tuple[Object, tuple[SecretBytes, ...]]:
    """The Kustomization with all values in `substitute`, and those of them that came from Secrets.

    Raises:
        SpecError: a ConfigMap or Secret does not exist and is not optional.
    """
    sources = get_field(kustomization, ("spec", "postBuild", "substituteFrom"))
    if not isinstance(sources, list):
        return kustomization, ()
    values: dict[str, str] = {}
    secret_values: list[SecretBytes] = []
    for source in sources:
        kind, name = str(source.get("kind")), str(source.get("name"))
        if kind not in ("ConfigMap", "Secret"):
            raise SpecError(f"`spec.postBuild.substituteFrom` names a {kind}: only ConfigMap and Secret are possible")
        data = lookup(kind, name)
        if data is None:
            if source.get("optional"):
                continue
            raise SpecError(
                f"`spec.postBuild.substituteFrom`: {kind} {name} not found: create it, or set `optional: true`"
            )
        secret_values += data.values() if kind == "Secret" else ()
        values |= {key: _format_value(value) for key, value in data.items()}
    inlined = deepcopy(kustomization)
    post_build = inlined["spec"]["postBuild"]
    del post_build["substituteFrom"]
    post_build["substitute"] = {**values, **(post_build.get("substitute") or {})}
    return inlined, tuple(secret_values)


def mask_secrets(text: str, secret_values: Iterable[SecretBytes]) -> str:
    """The text, with `…` in place of each secret value in it."""
    for value in secret_values:
        plain = _format_value(value)
        if len(plain) >= MIN_MASKED_LENGTH:
            text = text.replace(plain, "…")
    return text


def _format_value(value: SecretBytes) -> str:
    return value.reveal().decode("utf-8", "replace").replace("\n", "")
