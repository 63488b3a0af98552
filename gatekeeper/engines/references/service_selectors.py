"""Services whose selector no Pod of the repository has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gatekeeper.engines.references.consumers import POD_PATHS
from gatekeeper.model import FieldPath, Finding, Resource, at

WHERE: FieldPath = ("spec", "selector")
# Custom kinds of groups that else make no Pods.
POD_MAKERS = {"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler", "Gateway"}
# Labels that Kubernetes itself puts on Pods.
GIVEN = ("statefulset.kubernetes.io/", "batch.kubernetes.io/", "apps.kubernetes.io/", "pod-template-hash")


def judge(resources: Sequence[Resource], makers: Collection[str]) -> Iterator[Finding]:
    """Services that lead nowhere.

    Args:
        makers: namespaces in which something works that may make Pods: charts from elsewhere, operators.
    """
    makers = {*makers, *(one.ref.namespace for one in resources if one.ref.kind in POD_MAKERS)}
    services = [one for one in resources if one.ref.kind == "Service" and one.ref.api_version == "v1"]
    pods: dict[str, list[dict[str, Any]]] = {}
    for resource in resources if services else ():
        if resource.ref.kind in POD_PATHS:
            labels = at(resource.value, (*POD_PATHS[resource.ref.kind][:-1], "metadata", "labels"))
            pods.setdefault(resource.ref.namespace, []).append(labels if isinstance(labels, dict) else {})
    for service in services:
        namespace = service.ref.namespace
        selector = at(service.value, WHERE)
        if not isinstance(selector, dict) or not selector or namespace in makers:
            continue
        there = (
            [*pods.get(namespace, ()), *pods.get("", ())]
            if namespace
            else [one for lot in pods.values() for one in lot]
        )
        # Where no workload is at all, what the Service is for lies elsewhere.
        if there and not any(_has(labels, selector) for labels in there):
            words = ", ".join(f"{key}={value}" for key, value in selector.items())
            message = f"no Pod here has the labels that it selects by: {words}"
            hint = "correct the selector, or the labels of the Pods"
            place = service.origin.place(WHERE)
            yield Finding("references/selector", "error", message, place, service.ref, WHERE, hint, "field")


def _has(labels: dict[str, Any], selector: dict[str, Any]) -> bool:
    return all(
        key.startswith(GIVEN) or str(labels.get(key)) == str(value) or "${" in f"{value}{labels.get(key)}"
        for key, value in selector.items()
    )
