"""From a ClusterExternalSecret to the ExternalSecrets that it puts into namespaces.

Source: external-secrets `pkg/controllers/clusterexternalsecret/clusterexternalsecret_controller.go` and
`pkg/esutils/utils.go` (GetTargetNamespaces): every namespace that is named, or that one of the selectors chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.externalsecrets.external_secret_spec import GROUP
from gatekeeper.kube.decoder import FieldError, Fields
from gatekeeper.kube.labels import OWN_NAME, Labels, selects
from gatekeeper.model import FieldPath

KIND = "ClusterExternalSecret"
FORCE = "force-sync"
# Where the ExternalSecret stands in it.
WITHIN: FieldPath = ("spec", "externalSecretSpec")
VERSIONS = ("v1beta1", "v1")


def spread(value: Any, namespaces: Mapping[str, Labels], is_all: bool) -> Iterator[dict[str, Any]]:
    """The ExternalSecrets, one for each namespace.

    Args:
        namespaces: those that are known, with their labels.
        is_all: whether there are no others; else one that is named counts, and what labels choose cannot be told.

    Raises:
        FieldError: it is not valid, or hangs on namespaces that are not known.
    """
    whole = Fields(value)
    group, _, version = whole.text("apiVersion").partition("/")
    if group != GROUP or version not in VERSIONS:
        raise FieldError(("apiVersion",), f"is no {KIND} of {GROUP}/{', '.join(VERSIONS)}")
    metadata, spec = whole.inner("metadata") or Fields({}), whole.inner("spec") or Fields({})
    name = spec.text("externalSecretName", "") or metadata.text("name")
    made = spec.inner("externalSecretMetadata") or Fields({})
    labels, annotations = dict(made.texts("labels")), dict(made.texts("annotations"))
    made.end()
    if FORCE in metadata.texts("annotations"):
        annotations[FORCE] = metadata.texts("annotations")[FORCE]
    else:
        annotations.pop(FORCE, None)
    inner = spec.inner("externalSecretSpec")
    if inner is None:
        spec.refuse("externalSecretSpec", "is missing")
    for namespace in _chosen(spec, value["spec"], namespaces, is_all):
        yield {
            "apiVersion": f"{GROUP}/{version}",
            "kind": "ExternalSecret",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
            "spec": value["spec"]["externalSecretSpec"],
        }


def _chosen(spec: Fields, value: Mapping[str, Any], namespaces: Mapping[str, Labels], is_all: bool) -> list[str]:
    """The namespaces, in order."""
    named = spec.words("namespaces")
    selectors = [value["namespaceSelector"]] if spec.has("namespaceSelector") else []
    if spec.has("namespaceSelectors"):
        list(spec.each("namespaceSelectors"))
        selectors += value["namespaceSelectors"]
    # How often ExternalSecrets are put there again, which is nothing to reading them.
    spec.seconds("refreshTime", 0.0)
    spec.end()
    found = {one for one in named if one in namespaces or not is_all}
    for selector in selectors:
        try:
            chosen = {
                one for one in namespaces if selects(selector, {**namespaces[one], OWN_NAME: one}, "namespaceSelector")
            }
        except PolicyError as error:
            raise FieldError(("spec", "namespaceSelector"), str(error)) from None
        if not chosen and not is_all:
            spec.refuse(
                "namespaceSelector",
                "chooses by labels, and no namespace that is known here has them: give the cluster (--kubeconfig)",
            )
        found |= chosen
    return sorted(found)
