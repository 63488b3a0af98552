"""Workloads that begin anew when a Secret has other values, because they say so.

The annotations are those of stakater's Reloader, which many repositories have already: `auto` for all Secrets that a
Pod names, `reload` for those that are listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, Kind, Object, Objects, Refusal
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at

KINDS = tuple(Kind("apps/v1", plural, True) for plural in ("deployments", "statefulsets", "daemonsets"))
AUTO = ("reloader.stakater.com/auto", "secret.reloader.stakater.com/auto")
NAMED = "secret.reloader.stakater.com/reload"
# The same that `kubectl rollout restart` writes.
RESTARTED = "kubectl.kubernetes.io/restartedAt"


def restart(cluster: Objects, namespace: str, secrets: Collection[str]) -> list[str]:
    """Restarts the workloads of a namespace that ask for it, and tells which.

    Args:
        secrets: the names of those that have other values.

    Raises:
        ToolError: the cluster does not do it.
    """
    done = []
    for kind in KINDS:
        for value in cluster.list(kind, namespace):
            if not is_asked(value, secrets):
                continue
            note = {RESTARTED: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            changes = {"spec": {"template": {"metadata": {"annotations": note}}}}
            try:
                cluster.patch(kind, value, changes)
            except Refusal as error:
                if error.code == CONFLICT:
                    # Somebody changes it just now: once more, as it is then.
                    fresh = cluster.get(kind, namespace, value["metadata"]["name"])
                    if fresh is not None and is_asked(fresh, secrets):
                        cluster.patch(kind, fresh, changes)
                elif error.code != NOT_FOUND:
                    raise
            done.append(f"{kind.plural}/{value['metadata']['name']}")
    return done


def is_asked(workload: Object, secrets: Collection[str]) -> bool:
    """Whether a workload is to begin anew when some Secrets have other values."""
    noted = {**labels_of(at(workload, ("spec", "template")), "annotations"), **labels_of(workload, "annotations")}
    named = {name.strip() for name in str(noted.get(NAMED) or "").split(",")}
    if named & set(secrets):
        return True
    if not any(noted.get(key) == "true" for key in AUTO):
        return False
    return any(name in secrets for name in named_in(at(workload, ("spec", "template", "spec"))))


def named_in(pod: Any) -> Iterator[str]:
    """The Secrets that a Pod's containers and volumes take values from."""
    if isinstance(pod, list):
        for one in pod:
            yield from named_in(one)
    elif isinstance(pod, dict):
        for key, held in pod.items():
            if key in ("secretKeyRef", "secretRef", "secret") and isinstance(held, dict):
                yield str(held.get("secretName") or held.get("name"))
            elif key != "imagePullSecrets":
                yield from named_in(held)
