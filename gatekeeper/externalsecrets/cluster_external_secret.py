"""Expansion of a ClusterExternalSecret into the ExternalSecrets that it creates in namespaces.

Source: external-secrets `pkg/controllers/clusterexternalsecret/clusterexternalsecret_controller.go` and
`pkg/esutils/utils.go` (GetTargetNamespaces): every namespace that is listed, or that one of the selectors selects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, is_selected
from gatekeeper.model import FieldPath, Labels

KIND = "ClusterExternalSecret"
FORCE_SYNC_ANNOTATION = "force-sync"
# The path of the spec of the ExternalSecrets.
SPEC_PATH: FieldPath = ("spec", "externalSecretSpec")
VERSIONS = ("v1beta1", "v1")


def expand(value: Any, namespaces: Mapping[str, Labels], is_complete: bool) -> Iterator[dict[str, Any]]:
    """Yield the ExternalSecrets, one per namespace.

    Args:
        namespaces: the labels of the known namespaces, by name.
        is_complete: whether there are no other namespaces. Otherwise a listed namespace is assumed to exist, and a
            selector that matches no known namespace is an error.

    Raises:
        FieldError: a field is invalid, or depends on namespaces that are not known.
    """
    fields = FieldReader(value)
    version = fields.read_head(GROUP, VERSIONS, KIND)
    metadata, spec = fields.read_object("metadata") or FieldReader({}), fields.read_object("spec") or FieldReader({})
    name = spec.read_string("externalSecretName", "") or metadata.read_string("name")
    secret_metadata = spec.read_object("externalSecretMetadata") or FieldReader({})
    labels = dict(secret_metadata.read_string_map("labels"))
    annotations = dict(secret_metadata.read_string_map("annotations"))
    secret_metadata.reject_unknown()
    if FORCE_SYNC_ANNOTATION in metadata.read_string_map("annotations"):
        annotations[FORCE_SYNC_ANNOTATION] = metadata.read_string_map("annotations")[FORCE_SYNC_ANNOTATION]
    else:
        annotations.pop(FORCE_SYNC_ANNOTATION, None)
    if spec.read_object("externalSecretSpec") is None:
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
    """Return the namespaces, sorted."""
    listed = spec.read_string_list("namespaces")
    selectors = [value["namespaceSelector"]] if spec.has_field("namespaceSelector") else []
    if spec.has_field("namespaceSelectors"):
        list(spec.read_objects("namespaceSelectors"))
        selectors += value["namespaceSelectors"]
    # `refreshTime` sets how often upstream creates missing ExternalSecrets; it does not concern reading.
    spec.read_duration("refreshTime", 0.0)
    spec.reject_unknown()
    names = {name for name in listed if name in namespaces or not is_complete}
    for selector in selectors:
        try:
            selected = {
                name
                for name, labels in namespaces.items()
                if is_selected(selector, {**labels, NAMESPACE_NAME_LABEL: name}, "namespaceSelector")
            }
        except PolicyError as error:
            raise FieldError(("spec", "namespaceSelector"), str(error)) from None
        if not selected and not is_complete:
            spec.reject_field(
                "namespaceSelector",
                "selects namespaces by labels, and no known namespace matches: give --kubeconfig",
            )
        names |= selected
    return sorted(names)
