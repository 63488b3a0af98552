"""In which order a Kustomization's objects are applied: in stages, and within each as Flux has them.

Source: fluxcd/pkg `ssa/manager_apply.go` (stages), `ssa/sort.go` (kinds).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.model import get_field

Object = dict[str, Any]
FIRST_KINDS = (
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
LAST_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# What others are made of: it must be there, and known, before they come.
DEFINITION_KINDS = ("CustomResourceDefinition", "Namespace", "ClusterRole")


def group_of(value: Object) -> str:
    """The API group of an object; empty for the core."""
    group, is_split, _ = str(value.get("apiVersion")).partition("/")
    return group if is_split else ""


def _sort_key(value: Object) -> tuple[int, str, str, str, str]:
    kind = str(value.get("kind"))
    place = (
        FIRST_KINDS.index(kind)
        if kind in FIRST_KINDS
        else len(FIRST_KINDS) + (1 + LAST_KINDS.index(kind) if kind in LAST_KINDS else 0)
    )
    others = (group_of(value), kind) if place == len(FIRST_KINDS) else ("", "")
    namespace, name = get_field(value, ("metadata", "namespace")) or "", get_field(value, ("metadata", "name")) or ""
    return place, *others, str(namespace), str(name)


def sort_objects(objects: Iterable[Object]) -> list[Object]:
    """Objects as they are applied; what is taken away goes the other way round."""
    return sorted(objects, key=_sort_key)


def split_stages(objects: Iterable[Object]) -> list[list[Object]]:
    """Objects by stage, each applied when the one before is there: definitions, classes, and the rest."""
    found: tuple[list[Object], list[Object], list[Object]] = ([], [], [])
    for value in sort_objects(objects):
        kind = str(value.get("kind"))
        found[0 if kind in DEFINITION_KINDS else 1 if kind.endswith("Class") else 2].append(value)
    return [stage for stage in found if stage]
