"""Tasks of a sync, ordered by phase, wave, kind and name; prune tasks run in the reverse order of waves and kinds.

Source: argo-cd `docs/user-guide/sync-waves.md`, `gitops-engine/pkg/sync/{sync_tasks,hook/hook}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.model import SYNC_PHASES, ComparedObject, SyncPhase
from gatekeeper.argocd.sync.sync_options import ANNOTATION_PREFIX, SyncOptions
from gatekeeper.model import Object, read_labels
from gatekeeper.named_tuple import NamedTuple

HOOK_ANNOTATION, WAVE_ANNOTATION, DELETE_POLICY_ANNOTATION = (
    f"{ANNOTATION_PREFIX}hook",
    f"{ANNOTATION_PREFIX}sync-wave",
    f"{ANNOTATION_PREFIX}hook-delete-policy",
)
HELM_HOOK_ANNOTATION, HELM_WEIGHT_ANNOTATION, HELM_DELETE_POLICY_ANNOTATION = (
    "helm.sh/hook",
    "helm.sh/hook-weight",
    "helm.sh/hook-delete-policy",
)
# The Argo CD hook type of each Helm hook; other Helm hooks do not run.
HELM_HOOK_TYPES = {
    "crd-install": "PreSync",
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
    "post-delete": "PostDelete",
    "pre-delete": "PreDelete",
}
HELM_DELETE_POLICIES = {
    "before-hook-creation": "BeforeHookCreation",
    "hook-succeeded": "HookSucceeded",
    "hook-failed": "HookFailed",
}
BEFORE_HOOK_CREATION, HOOK_SUCCEEDED, HOOK_FAILED = "BeforeHookCreation", "HookSucceeded", "HookFailed"
KIND_ORDER = (
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
)


class SyncTask(NamedTuple):
    """One object to apply or prune in a sync.

    Attributes:
        hook_type: the hook phase it is annotated with; empty for an ordinary object.
        value: the object to apply; None to prune it.
    """

    phase: SyncPhase
    wave: int
    entry: InventoryEntry
    hook_type: str
    value: Object | None


def hook_types_of(value: Object) -> tuple[str, ...]:
    """Return the hook types of an object; empty for an ordinary object."""
    annotations = read_labels(value, "annotations")
    types = _split(annotations.get(HOOK_ANNOTATION, ""))
    if types:
        return types
    # Hooks that only Helm itself uses, such as tests and rollbacks, are skipped.
    helm_types = _split(annotations.get(HELM_HOOK_ANNOTATION, ""))
    return tuple(dict.fromkeys(HELM_HOOK_TYPES.get(helm_type, "Skip") for helm_type in helm_types))


def delete_policies_of(value: Object) -> tuple[str, ...]:
    """Return the policies by which a hook is deleted."""
    annotations = read_labels(value, "annotations")
    policies = _split(annotations.get(DELETE_POLICY_ANNOTATION, ""))
    helm_policies = _split(annotations.get(HELM_DELETE_POLICY_ANNOTATION, ""))
    return (
        policies or tuple(HELM_DELETE_POLICIES.get(policy, "") for policy in helm_policies) or (BEFORE_HOOK_CREATION,)
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def wave_of(value: Object) -> int:
    """Return the sync wave of an object, or its Helm hook weight; 0 if neither is a number."""
    annotations = read_labels(value, "annotations")
    for name in (WAVE_ANNOTATION, HELM_WEIGHT_ANNOTATION):
        try:
            return int(annotations[name])
        except (KeyError, ValueError):
            continue
    return 0


def build_hook_tasks(objects: Iterable[Object], revision: str, started_at: int) -> list[SyncTask]:
    """Build the tasks of the hooks among some objects.

    Args:
        revision, started_at: of the sync; part of the name of a hook that has `generateName`.
    """
    tasks = []
    for value in objects:
        for hook_type in hook_types_of(value):
            phase = next((phase for phase in SYNC_PHASES if phase == hook_type), None)
            if phase is not None:
                named = _generate_name(value, f"{revision[:7]}-{hook_type.lower()}-{started_at}")
                tasks.append(SyncTask(phase, wave_of(value), entry_of(named), hook_type, named))
    return tasks


def _generate_name(value: Object, suffix: str) -> Object:
    metadata = value["metadata"]
    if metadata.get("name") or not metadata.get("generateName"):
        return value
    kept = {key: field for key, field in metadata.items() if key != "generateName"}
    return {**value, "metadata": {**kept, "name": f"{metadata['generateName']}{suffix}"}}


def build_apply_task(value: Object) -> SyncTask:
    """Build the task that applies an ordinary object."""
    return SyncTask("Sync", wave_of(value), entry_of(value), "", value)


def build_prune_task(entry: InventoryEntry, wave: int = 0) -> SyncTask:
    """Build the task that prunes an object."""
    return SyncTask("Sync", wave, entry, "", None)


def build_object_tasks(objects: Sequence[ComparedObject], options: SyncOptions, should_prune: bool) -> list[SyncTask]:
    """Build the tasks of ordinary objects.

    Args:
        should_prune: whether objects that are no longer desired are pruned.

    Raises:
        SpecError: an object to prune has an unknown sync option.
    """
    tasks = [build_apply_task(compared.change.value) for compared in objects if compared.change is not None]
    if not should_prune:
        return tasks
    leaving = [(item.entry, item.live) for item in objects if item.should_prune and item.live is not None]
    # Objects of the last wave are pruned first.
    waves = sorted({wave_of(live) for _, live in leaving})
    reversed_waves = dict(zip(waves, reversed(waves), strict=True))
    last_wave = max((task.wave for task in tasks), default=0) + 1
    for entry, live in leaving:
        is_last = options.for_object(live).is_enabled("PruneLast")
        tasks.append(build_prune_task(entry, last_wave if is_last else reversed_waves[wave_of(live)]))
    return tasks


def sort_tasks(tasks: Iterable[SyncTask]) -> list[SyncTask]:
    """Sort tasks in the order of their execution; within a wave, objects are pruned before others are applied."""
    return sorted(
        tasks, key=lambda task: (SYNC_PHASES.index(task.phase), task.wave, task.value is not None, *_sort_key(task))
    )


def _sort_key(task: SyncTask) -> tuple[int, str, str]:
    position = KIND_ORDER.index(task.entry.kind) if task.entry.kind in KIND_ORDER else len(KIND_ORDER)
    if task.value is None:
        position = -position
    # Objects of other kinds need these to exist.
    is_first = task.value is not None and task.entry.kind in ("CustomResourceDefinition", "Namespace")
    return -1 if is_first else position, task.entry.namespace, task.entry.name


def split_stages(tasks: Sequence[SyncTask]) -> list[list[Object]]:
    """Split the objects of sorted tasks into stages: runs of one kind, which can be applied in parallel."""
    stages: list[list[Object]] = []
    kind = ""
    for task in tasks:
        if task.value is None:
            continue
        if task.entry.kind != kind:
            stages.append([])
            kind = task.entry.kind
        stages[-1].append(task.value)
    return stages
