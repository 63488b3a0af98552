"""The order in which objects are applied: in stages, and within a stage by kind, as Flux does it.

Source: fluxcd/pkg `ssa/manager_apply.go` (stages), `ssa/sort.go` (kinds).
"""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.model import Object, get_field

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
# Other objects need them: they are applied, and served, first.
DEFINITION_KINDS = ("CustomResourceDefinition", "Namespace", "ClusterRole")


def group_of(value: Object) -> str:
    """The API group of an object; empty for the core group."""
    group, separator, _ = str(value.get("apiVersion")).partition("/")
    return group if separator else ""


def _sort_key(value: Object) -> tuple[int, str, str, str, str]:
    kind = str(value.get("kind"))
    rank = (
        FIRST_KINDS.index(kind)
        if kind in FIRST_KINDS
        else len(FIRST_KINDS) + (1 + LAST_KINDS.index(kind) if kind in LAST_KINDS else 0)
    )
    others = (group_of(value), kind) if rank == len(FIRST_KINDS) else ("", "")
    namespace, name = get_field(value, ("metadata", "namespace")) or "", get_field(value, ("metadata", "name")) or ""
    return rank, *others, str(namespace), str(name)


def sort_objects(objects: Iterable[Object]) -> list[Object]:
    """Objects in the order in which they are applied; they are deleted in the reverse order."""
    return sorted(objects, key=_sort_key)


def split_stages(objects: Iterable[Object]) -> list[list[Object]]:
    """Objects by stage: definitions, classes, and the rest. A stage is applied after the one before succeeded."""
    stages: tuple[list[Object], list[Object], list[Object]] = ([], [], [])
    for value in sort_objects(objects):
        kind = str(value.get("kind"))
        stages[0 if kind in DEFINITION_KINDS else 1 if kind.endswith("Class") else 2].append(value)
    return [stage for stage in stages if stage]
