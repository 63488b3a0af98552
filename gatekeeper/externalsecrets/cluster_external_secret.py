"""From a ClusterExternalSecret to the ExternalSecrets that it puts into namespaces.

Source: external-secrets `pkg/controllers/clusterexternalsecret/clusterexternalsecret_controller.go` and
`pkg/esutils/utils.go` (GetTargetNamespaces): every namespace that is named, or that one of the selectors chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.externalsecrets.external_secret_spec import GROUP
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, Labels, is_selected
from gatekeeper.model import FieldPath

KIND = "ClusterExternalSecret"
FORCE_SYNC_ANNOTATION = "force-sync"
# Where the ExternalSecret stands in it.
SPEC_PATH: FieldPath = ("spec", "externalSecretSpec")
VERSIONS = ("v1beta1", "v1")


def expand(value: Any, namespaces: Mapping[str, Labels], is_complete: bool) -> Iterator[dict[str, Any]]:
    """The ExternalSecrets, one for each namespace.

    Args:
        namespaces: those that are known, with their labels.
        is_complete: whether there are no others; else one that is named counts, and what labels choose cannot be told.

    Raises:
        FieldError: it is not valid, or hangs on namespaces that are not known.
    """
    whole = FieldReader(value)
    version = whole.read_head(GROUP, VERSIONS, KIND)
    metadata, spec = whole.read_object("metadata") or FieldReader({}), whole.read_object("spec") or FieldReader({})
    name = spec.read_string("externalSecretName", "") or metadata.read_string("name")
    made = spec.read_object("externalSecretMetadata") or FieldReader({})
    labels, annotations = dict(made.read_string_map("labels")), dict(made.read_string_map("annotations"))
    made.reject_unknown()
    if FORCE_SYNC_ANNOTATION in metadata.read_string_map("annotations"):
        annotations[FORCE_SYNC_ANNOTATION] = metadata.read_string_map("annotations")[FORCE_SYNC_ANNOTATION]
    else:
        annotations.pop(FORCE_SYNC_ANNOTATION, None)
    inner = spec.read_object("externalSecretSpec")
    if inner is None:
        spec.reject_field("externalSecretSpec", "is missing")
    for namespace in _select_namespaces(spec, value["spec"], namespaces, is_complete):
        yield {
            "apiVersion": f"{GROUP}/{version}",
            "kind": "ExternalSecret",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
            "spec": value["spec"]["externalSecretSpec"],
        }


def _select_namespaces(
    spec: FieldReader, value: Mapping[str, Any], namespaces: Mapping[str, Labels], is_complete: bool
) -> list[str]:
    """The namespaces, in order."""
    named = spec.read_string_list("namespaces")
    selectors = [value["namespaceSelector"]] if spec.has_field("namespaceSelector") else []
    if spec.has_field("namespaceSelectors"):
        list(spec.read_objects("namespaceSelectors"))
        selectors += value["namespaceSelectors"]
    # How often ExternalSecrets are put there again, which is nothing to reading them.
    spec.read_duration("refreshTime", 0.0)
    spec.reject_unknown()
    found = {one for one in named if one in namespaces or not is_complete}
    for selector in selectors:
        try:
            chosen = {
                one
                for one in namespaces
                if is_selected(selector, {**namespaces[one], NAMESPACE_NAME_LABEL: one}, "namespaceSelector")
            }
        except PolicyError as error:
            raise FieldError(("spec", "namespaceSelector"), str(error)) from None
        if not chosen and not is_complete:
            spec.reject_field(
                "namespaceSelector",
                "chooses by labels, and no namespace that is known here has them: give the cluster (--kubeconfig)",
            )
        found |= chosen
    return sorted(found)
