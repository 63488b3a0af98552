"""Workloads that begin anew when a Secret has other values, because they say so.

The annotations are those of stakater's Reloader, which many repositories have already: `auto` for all Secrets that a
Pod names, `reload` for those that are listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind, Object
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field

WORKLOAD_KINDS = tuple(Kind("apps/v1", plural, True) for plural in ("deployments", "statefulsets", "daemonsets"))
AUTO_ANNOTATIONS = ("reloader.stakater.com/auto", "secret.reloader.stakater.com/auto")
RELOAD_ANNOTATION = "secret.reloader.stakater.com/reload"
# The same that `kubectl rollout restart` writes.
RESTARTED_ANNOTATION = "kubectl.kubernetes.io/restartedAt"


def restart_workloads(cluster: DynamicClient, namespace: str, secret_names: Collection[str]) -> list[str]:
    """Restarts the workloads of a namespace that ask for it, and tells which.

    Args:
        secret_names: the names of those that have other values.

    Raises:
        ToolError: the cluster does not do it.
    """
    done = []
    for kind in WORKLOAD_KINDS:
        for value in cluster.list(kind, namespace):
            if not is_restart_requested(value, secret_names):
                continue
            note = {RESTARTED_ANNOTATION: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            changes = {"spec": {"template": {"metadata": {"annotations": note}}}}
            try:
                cluster.patch(kind, value, changes)
            except ApiStatusError as error:
                if error.code == CONFLICT:
                    # Somebody changes it just now: once more, as it is then.
                    fresh = cluster.get(kind, namespace, value["metadata"]["name"])
                    if fresh is not None and is_restart_requested(fresh, secret_names):
                        cluster.patch(kind, fresh, changes)
                elif error.code != NOT_FOUND:
                    raise
            done.append(f"{kind.plural}/{value['metadata']['name']}")
    return done


def is_restart_requested(workload: Object, secret_names: Collection[str]) -> bool:
    """Whether a workload is to begin anew when some Secrets have other values."""
    noted = {
        **read_labels(get_field(workload, ("spec", "template")), "annotations"),
        **read_labels(workload, "annotations"),
    }
    named = {name.strip() for name in str(noted.get(RELOAD_ANNOTATION) or "").split(",")}
    if named & set(secret_names):
        return True
    if not any(noted.get(key) == "true" for key in AUTO_ANNOTATIONS):
        return False
    return any(
        name in secret_names for name in list_referenced_secrets(get_field(workload, ("spec", "template", "spec")))
    )


def list_referenced_secrets(pod_spec: Any) -> Iterator[str]:
    """The Secrets that a Pod's containers and volumes take values from."""
    if isinstance(pod_spec, list):
        for one in pod_spec:
            yield from list_referenced_secrets(one)
    elif isinstance(pod_spec, dict):
        for key, held in pod_spec.items():
            if key in ("secretKeyRef", "secretRef", "secret") and isinstance(held, dict):
                yield str(held.get("secretName") or held.get("name"))
            elif key != "imagePullSecrets":
                yield from list_referenced_secrets(held)
