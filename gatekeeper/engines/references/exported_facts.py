"""What of a resource others can depend on: as long as that stays the same, what is found in others stays the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from gatekeeper.engines.references import consumers, providers
from gatekeeper.engines.references.consumers import POD_SPEC_PATHS
from gatekeeper.engines.references.duplicates import NAME_PATTERN
from gatekeeper.model import Resource, get_field

# Kinds that are judged alone but for what they name, provide, and are selected by.
RBAC_GROUP = "rbac.authorization.k8s.io"
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
    """Whether a resource is of those kinds."""
    return (resource.ref.group, resource.ref.kind) in SELF_CONTAINED_KINDS


def list_provided_names(resources: Iterable[Resource]) -> Iterator[str]:
    """The names of all Secrets and ConfigMaps that are provided."""
    for resource in resources:
        for one in providers.find_provided(resource):
            if one.kind in ("Secret", "ConfigMap"):
                yield one.name


def describe_exports(resource: Resource, names: Collection[bytes]) -> str:
    """All that others can depend on, as one text.

    Args:
        names: of Secrets and ConfigMaps: whoever has one in any of its texts may use it.
    """
    value: Any = resource.value
    pod = POD_SPEC_PATHS.get(resource.ref.kind)
    labels = get_field(value, (*pod[:-1], "metadata", "labels")) if pod else None
    named = sorted(
        (need.kind, need.namespace, need.name, need.key, need.path) for need in consumers.find_references(resource)
    )
    provided = sorted(
        (one.kind, one.namespace, one.name, sorted(one.keys or ())) for one in providers.find_provided(resource)
    )
    words = sorted(set(NAME_PATTERN.findall(resource.json)) & set(names)) if names else []
    return repr((resource.ref, named, provided, labels, get_field(value, ("spec", "selector")), words))
