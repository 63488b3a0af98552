"""Services whose selector no Pod of the repository has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gatekeeper.engines.references.consumers import POD_SPEC_PATHS
from gatekeeper.model import FieldPath, Finding, Resource, get_field

SELECTOR_PATH: FieldPath = ("spec", "selector")
# Custom kinds of groups that else make no Pods.
POD_CREATING_KINDS = {"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler", "Gateway"}
# Labels that Kubernetes itself puts on Pods.
SYSTEM_LABELS = ("statefulset.kubernetes.io/", "batch.kubernetes.io/", "apps.kubernetes.io/", "pod-template-hash")


def check_service_selectors(resources: Sequence[Resource], active_namespaces: Collection[str]) -> Iterator[Finding]:
    """Services that lead nowhere.

    Args:
        active_namespaces: namespaces in which something works that may make Pods: charts from elsewhere, operators.
    """
    active_namespaces = {
        *active_namespaces,
        *(one.ref.namespace for one in resources if one.ref.kind in POD_CREATING_KINDS),
    }
    services = [one for one in resources if one.ref.kind == "Service" and one.ref.api_version == "v1"]
    pods: dict[str, list[dict[str, Any]]] = {}
    for resource in resources if services else ():
        if resource.ref.kind in POD_SPEC_PATHS:
            labels = get_field(resource.value, (*POD_SPEC_PATHS[resource.ref.kind][:-1], "metadata", "labels"))
            pods.setdefault(resource.ref.namespace, []).append(labels if isinstance(labels, dict) else {})
    for service in services:
        namespace = service.ref.namespace
        selector = get_field(service.value, SELECTOR_PATH)
        if not isinstance(selector, dict) or not selector or namespace in active_namespaces:
            continue
        there = (
            [*pods.get(namespace, ()), *pods.get("", ())]
            if namespace
            else [one for lot in pods.values() for one in lot]
        )
        # Where no workload is at all, what the Service is for lies elsewhere.
        if there and not any(_has_labels(labels, selector) for labels in there):
            words = ", ".join(f"{key}={value}" for key, value in selector.items())
            message = f"no Pod here has the labels that it selects by: {words}"
            hint = "correct the selector, or the labels of the Pods"
            place = service.origin.find_location(SELECTOR_PATH)
            yield Finding("references/selector", "error", message, place, service.ref, SELECTOR_PATH, hint, "field")


def _has_labels(labels: dict[str, Any], selector: dict[str, Any]) -> bool:
    return all(
        key.startswith(SYSTEM_LABELS) or str(labels.get(key)) == str(value) or "${" in f"{value}{labels.get(key)}"
        for key, value in selector.items()
    )
