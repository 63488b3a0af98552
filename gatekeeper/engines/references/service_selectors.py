"""Services whose selector matches no Pod of the repository."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gatekeeper.engines.references.consumers import POD_SPEC_PATHS
from gatekeeper.model import FieldPath, Finding, Resource, get_field

SELECTOR_PATH: FieldPath = ("spec", "selector")
# Custom kinds for which an operator creates Pods, though other kinds of their API groups have none.
POD_CREATING_KINDS = {"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler", "Gateway"}
# Labels that Kubernetes itself puts on Pods.
SYSTEM_LABELS = ("statefulset.kubernetes.io/", "batch.kubernetes.io/", "apps.kubernetes.io/", "pod-template-hash")


def check_service_selectors(resources: Sequence[Resource], active_namespaces: Collection[str]) -> Iterator[Finding]:
    """Yields a finding for each Service that selects no Pod.

    Args:
        active_namespaces: namespaces with charts or operators, which may create Pods that no file shows.
    """
    services = [
        resource for resource in resources if (resource.ref.api_version, resource.ref.kind) == ("v1", "Service")
    ]
    if not services:
        return
    active_namespaces = {
        *active_namespaces,
        *(resource.ref.namespace for resource in resources if resource.ref.kind in POD_CREATING_KINDS),
    }
    pod_labels = _index_pod_labels(resources)
    for service in services:
        namespace = service.ref.namespace
        selector = get_field(service.value, SELECTOR_PATH)
        if not isinstance(selector, dict) or not selector or namespace in active_namespaces:
            continue
        if namespace:
            candidates = [*pod_labels.get(namespace, ()), *pod_labels.get("", ())]
        else:
            candidates = [labels for same_namespace in pod_labels.values() for labels in same_namespace]
        # Without any workload, the Pods of the Service are defined elsewhere.
        if candidates and not any(_has_labels(labels, selector) for labels in candidates):
            terms = ", ".join(f"{key}={value}" for key, value in selector.items())
            message = f"the selector matches no Pod of the repository: {terms}"
            hint = "correct the selector, or the labels of the Pods"
            yield service.build_finding("references/selector", message, SELECTOR_PATH, hint=hint)


def _index_pod_labels(resources: Sequence[Resource]) -> dict[str, list[dict[str, Any]]]:
    """The labels of the Pods of all workloads, by namespace."""
    index: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        if resource.ref.kind in POD_SPEC_PATHS:
            labels = get_field(resource.value, (*POD_SPEC_PATHS[resource.ref.kind][:-1], "metadata", "labels"))
            index.setdefault(resource.ref.namespace, []).append(labels if isinstance(labels, dict) else {})
    return index


def _has_labels(labels: dict[str, Any], selector: dict[str, Any]) -> bool:
    return all(
        key.startswith(SYSTEM_LABELS) or str(labels.get(key)) == str(value) or "${" in f"{value}{labels.get(key)}"
        for key, value in selector.items()
    )
