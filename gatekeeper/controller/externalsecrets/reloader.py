"""Restarts workloads when a Secret that they use has changed, if their annotations request it.

The annotations are those of Stakater Reloader: `auto` for all Secrets that the Pods use, `reload` for a list of names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind
from gatekeeper.model import Object, get_field, read_labels

WORKLOAD_KINDS = tuple(Kind("apps/v1", plural, True) for plural in ("deployments", "statefulsets", "daemonsets"))
AUTO_ANNOTATIONS = ("reloader.stakater.com/auto", "secret.reloader.stakater.com/auto")
RELOAD_ANNOTATION = "secret.reloader.stakater.com/reload"
# `kubectl rollout restart` writes the same annotation.
RESTARTED_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
POD_SPEC_PATH = ("spec", "template", "spec")


def restart_workloads(cluster: DynamicClient, namespace: str, secret_names: Collection[str]) -> list[str]:
    """Restart the workloads of a namespace that request it; return `deployments/name` of each.

    Args:
        secret_names: the names of the Secrets that have changed.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    restarted = []
    for kind in WORKLOAD_KINDS:
        for workload in cluster.list(kind, namespace):
            if not is_restart_requested(workload, secret_names):
                continue
            annotations = {RESTARTED_ANNOTATION: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
            try:
                cluster.patch(kind, workload, patch)
            except ApiStatusError as error:
                if error.code == CONFLICT:
                    # Another client has just changed it: try once more with its current state.
                    current = cluster.get(kind, namespace, workload["metadata"]["name"])
                    if current is not None and is_restart_requested(current, secret_names):
                        cluster.patch(kind, current, patch)
                elif error.code != NOT_FOUND:
                    raise
            restarted.append(f"{kind.plural}/{workload['metadata']['name']}")
    return restarted


def is_restart_requested(workload: Object, secret_names: Collection[str]) -> bool:
    """Return whether a workload requests a restart when Secrets have changed."""
    annotations = {
        **read_labels(get_field(workload, ("spec", "template")), "annotations"),
        **read_labels(workload, "annotations"),
    }
    listed_names = {name.strip() for name in str(annotations.get(RELOAD_ANNOTATION) or "").split(",")}
    if listed_names & set(secret_names):
        return True
    if not any(annotations.get(key) == "true" for key in AUTO_ANNOTATIONS):
        return False
    return any(name in secret_names for name in list_referenced_secrets(get_field(workload, POD_SPEC_PATH)))


def list_referenced_secrets(pod_spec: Any) -> Iterator[str]:
    """Yield the names of the Secrets that containers and volumes of a Pod use; not those to pull images."""
    if isinstance(pod_spec, list):
        for item in pod_spec:
            yield from list_referenced_secrets(item)
    elif isinstance(pod_spec, dict):
        for key, value in pod_spec.items():
            if key in ("secretKeyRef", "secretRef", "secret") and isinstance(value, dict):
                yield str(value.get("secretName") or value.get("name"))
            elif key != "imagePullSecrets":
                yield from list_referenced_secrets(value)
