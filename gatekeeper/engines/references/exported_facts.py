"""The facts about a resource that findings on other resources can depend on, for incremental checks.

As long as these facts stay the same, the findings on all other resources stay the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from gatekeeper.engines.references import consumers, providers
from gatekeeper.engines.references.consumers import POD_SPEC_PATHS
from gatekeeper.engines.references.unused import NAME_PATTERN
from gatekeeper.model import Resource, get_field

RBAC_GROUP = "rbac.authorization.k8s.io"
# Kinds that affect other resources only by their references, what they provide, and their labels and selectors.
SELF_CONTAINED_KINDS = {
    *(("apps", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(("batch", kind) for kind in ("Job", "CronJob")),
    *(("", kind) for kind in ("Pod", "Service", "ServiceAccount")),
    *(("networking.k8s.io", kind) for kind in ("Ingress", "NetworkPolicy")),
    *((RBAC_GROUP, kind) for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget"),
}


def is_self_contained(resource: Resource) -> bool:
    """Whether a resource affects findings on others only by the facts that `describe_exports` lists."""
    return (resource.ref.group, resource.ref.kind) in SELF_CONTAINED_KINDS


def list_provided_names(resources: Iterable[Resource]) -> Iterator[str]:
    """Lists the names of all Secrets and ConfigMaps that resources provide."""
    for resource in resources:
        for provided in providers.find_provided(resource):
            if provided.kind in ("Secret", "ConfigMap"):
                yield provided.name


def describe_exports(resource: Resource, names: Collection[bytes]) -> str:
    """Describes all facts that findings on others can depend on, as one text to compare.

    Args:
        names: the names of Secrets and ConfigMaps; a resource that has one of them in any text may use it.
    """
    value: Any = resource.value
    pod_path = POD_SPEC_PATHS.get(resource.ref.kind)
    labels = get_field(value, (*pod_path[:-1], "metadata", "labels")) if pod_path else None
    references = sorted(
        (reference.kind, reference.namespace, reference.name, reference.key, reference.path)
        for reference in consumers.find_references(resource)
    )
    provided = sorted(
        (provided.kind, provided.namespace, provided.name, sorted(provided.keys or ()))
        for provided in providers.find_provided(resource)
    )
    used_names = sorted(set(NAME_PATTERN.findall(resource.json)) & set(names)) if names else []
    selector = get_field(value, ("spec", "selector"))
    return repr((resource.ref, references, provided, labels, selector, used_names))
