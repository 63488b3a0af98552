"""What is done in a sync, and in which order: by phase, wave, kind and name; and what goes, the other way round.

Source: argo-cd `docs/user-guide/sync-waves.md`, `gitops-engine/pkg/sync/{sync_tasks,hook/hook}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.model import SYNC_PHASES, ComparedObject, SyncPhase
from gatekeeper.argocd.sync.sync_options import ANNOTATION_PREFIX, SyncOptions
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube.labels import read_labels

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
# Helm's words for what Argo CD has others for; what is not among them is not done.
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
    """One thing to do.

    Attributes:
        hook_type: its kind of hook; empty of what is none.
        value: what is applied; None of what goes.
    """

    phase: SyncPhase
    wave: int
    entry: InventoryEntry
    hook_type: str
    value: Object | None


def hook_types_of(value: Object) -> tuple[str, ...]:
    """Which kinds of hook an object is; none of what is applied as usual."""
    notes = read_labels(value, "annotations")
    own = tuple(one.strip() for one in notes.get(HOOK_ANNOTATION, "").split(",") if one.strip())
    if own:
        return own
    theirs = [one.strip() for one in notes.get(HELM_HOOK_ANNOTATION, "").split(",") if one.strip()]
    # What only Helm itself has use for, a test or a rollback, is not applied.
    return tuple(dict.fromkeys(HELM_HOOK_TYPES.get(one, "Skip") for one in theirs))


def delete_policies_of(value: Object) -> tuple[str, ...]:
    """When a hook is taken away."""
    notes = read_labels(value, "annotations")
    own = tuple(one.strip() for one in notes.get(DELETE_POLICY_ANNOTATION, "").split(",") if one.strip())
    theirs = tuple(
        HELM_DELETE_POLICIES.get(one.strip(), "")
        for one in notes.get(HELM_DELETE_POLICY_ANNOTATION, "").split(",")
        if one.strip()
    )
    return own or theirs or (BEFORE_HOOK_CREATION,)


def wave_of(value: Object) -> int:
    """In which wave an object is applied."""
    notes = read_labels(value, "annotations")
    for name in (WAVE_ANNOTATION, HELM_WEIGHT_ANNOTATION):
        try:
            return int(notes[name])
        except (KeyError, ValueError):
            continue
    return 0


def build_hook_tasks(objects: Iterable[Object], revision: str, started_at: int) -> list[SyncTask]:
    """What of the objects is a hook.

    Args:
        revision, started_at: of the sync, after which one is called that has no name of its own.
    """
    found = []
    for value in objects:
        for hook in hook_types_of(value):
            phase = next((one for one in SYNC_PHASES if one == hook), None)
            if phase is not None:
                named = _generate_name(value, f"{revision[:7]}-{hook.lower()}-{started_at}")
                found.append(SyncTask(phase, wave_of(value), entry_of(named), hook, named))
    return found


def _generate_name(value: Object, suffix: str) -> Object:
    metadata = value["metadata"]
    if metadata.get("name") or not metadata.get("generateName"):
        return value
    own = {key: held for key, held in metadata.items() if key != "generateName"}
    return {**value, "metadata": {**own, "name": f"{metadata['generateName']}{suffix}"}}


def build_object_tasks(objects: Sequence[ComparedObject], options: SyncOptions, should_prune: bool) -> list[SyncTask]:
    """What is applied, and what goes.

    Args:
        should_prune: whether what is not wanted any more goes.
    """
    wanted = [one for one in objects if one.change is not None]
    found = [
        SyncTask("Sync", wave_of(one.change.value), one.entry, "", one.change.value) for one in wanted if one.change
    ]
    if not should_prune:
        return found
    going = [one for one in objects if one.should_prune and one.live is not None]
    waves = sorted({wave_of(one.live) for one in going if one.live})
    # What came last goes first.
    mirrored = dict(zip(waves, reversed(waves), strict=True))
    last = max((task.wave for task in found), default=0) + 1
    for one in going:
        assert one.live is not None
        wave = last if options.for_object(one.live).is_enabled("PruneLast") else mirrored[wave_of(one.live)]
        found.append(SyncTask("Sync", wave, one.entry, "", None))
    return found


def sort_tasks(tasks: Iterable[SyncTask]) -> list[SyncTask]:
    """Tasks in the order in which they are done; what goes before what comes, in one wave."""
    return sorted(
        tasks, key=lambda task: (SYNC_PHASES.index(task.phase), task.wave, task.value is not None, *_sort_key(task))
    )


def _sort_key(task: SyncTask) -> tuple[int, str, str]:
    place = KIND_ORDER.index(task.entry.kind) if task.entry.kind in KIND_ORDER else len(KIND_ORDER)
    if task.value is None:
        place = -place
    # What others are made of, and where they are, is there before they are.
    is_first = task.value is not None and task.entry.kind in ("CustomResourceDefinition", "Namespace")
    return -1 if is_first else place, task.entry.namespace, task.entry.name


def split_stages(tasks: Sequence[SyncTask]) -> list[list[Object]]:
    """What is applied, by what can be applied side by side: what others need before it, and each kind by itself."""
    found: list[list[Object]] = []
    kind = ""
    for task in tasks:
        if task.value is None:
            continue
        if task.entry.kind != kind:
            found.append([])
            kind = task.entry.kind
        found[-1].append(task.value)
    return found
