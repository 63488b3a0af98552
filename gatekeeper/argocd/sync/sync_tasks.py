"""What is done in a sync, and in which order: by phase, wave, kind and name; and what goes, the other way round.

Source: argo-cd `docs/user-guide/sync-waves.md`, `gitops-engine/pkg/sync/{sync_tasks,hook/hook}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.argocd.model import PHASES, Item, Phase
from gatekeeper.argocd.sync.sync_options import PREFIX, Options
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube.labels import labels_of

HOOK, WAVE, POLICY = f"{PREFIX}hook", f"{PREFIX}sync-wave", f"{PREFIX}hook-delete-policy"
HELM_HOOK, HELM_WEIGHT, HELM_POLICY = "helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy"
# Helm's words for what Argo CD has others for; what is not among them is not done.
HELM_HOOKS = {
    "crd-install": "PreSync", "pre-install": "PreSync", "pre-upgrade": "PreSync", "post-install": "PostSync",
    "post-upgrade": "PostSync", "post-delete": "PostDelete", "pre-delete": "PreDelete",
}  # fmt: skip
HELM_POLICIES = {
    "before-hook-creation": "BeforeHookCreation", "hook-succeeded": "HookSucceeded", "hook-failed": "HookFailed",
}  # fmt: skip
BEFORE, SUCCEEDED, FAILED = "BeforeHookCreation", "HookSucceeded", "HookFailed"
KINDS = (
    "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
    "ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
    "CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding", "ClusterRoleBindingList",
    "Role", "RoleList", "RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod", "ReplicationController",
    "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress",
    "APIService",
)  # fmt: skip


class Task(NamedTuple):
    """One thing to do.

    Attributes:
        hook: its kind of hook; empty of what is none.
        value: what is applied; None of what goes.
    """

    phase: Phase
    wave: int
    entry: Entry
    hook: str
    value: Object | None


def hooks_of(value: Object) -> tuple[str, ...]:
    """Which kinds of hook an object is; none of what is applied as usual."""
    notes = labels_of(value, "annotations")
    own = tuple(one.strip() for one in notes.get(HOOK, "").split(",") if one.strip())
    if own:
        return own
    theirs = [one.strip() for one in notes.get(HELM_HOOK, "").split(",") if one.strip()]
    # What only Helm itself has use for, a test or a rollback, is not applied.
    return tuple(dict.fromkeys(HELM_HOOKS.get(one, "Skip") for one in theirs))


def policies_of(value: Object) -> tuple[str, ...]:
    """When a hook is taken away."""
    notes = labels_of(value, "annotations")
    own = tuple(one.strip() for one in notes.get(POLICY, "").split(",") if one.strip())
    theirs = tuple(HELM_POLICIES.get(one.strip(), "") for one in notes.get(HELM_POLICY, "").split(",") if one.strip())
    return own or theirs or (BEFORE,)


def wave_of(value: Object) -> int:
    """In which wave an object is applied."""
    notes = labels_of(value, "annotations")
    for name in (WAVE, HELM_WEIGHT):
        try:
            return int(notes[name])
        except (KeyError, ValueError):
            continue
    return 0


def of_hooks(objects: Iterable[Object], revision: str, began: int) -> list[Task]:
    """What of the objects is a hook.

    Args:
        revision, began: of the sync, after which one is called that has no name of its own.
    """
    found = []
    for value in objects:
        for hook in hooks_of(value):
            phase = next((one for one in PHASES if one == hook), None)
            if phase is not None:
                named = _named(value, f"{revision[:7]}-{hook.lower()}-{began}")
                found.append(Task(phase, wave_of(value), entry_of(named), hook, named))
    return found


def _named(value: Object, suffix: str) -> Object:
    metadata = value["metadata"]
    if metadata.get("name") or not metadata.get("generateName"):
        return value
    own = {key: held for key, held in metadata.items() if key != "generateName"}
    return {**value, "metadata": {**own, "name": f"{metadata['generateName']}{suffix}"}}


def of_items(items: Sequence[Item], options: Options, prunes: bool) -> list[Task]:
    """What is applied, and what goes.

    Args:
        prunes: whether what is not wanted any more goes.
    """
    wanted = [one for one in items if one.change is not None]
    found = [Task("Sync", wave_of(one.change.value), one.entry, "", one.change.value) for one in wanted if one.change]
    if not prunes:
        return found
    going = [one for one in items if one.goes and one.live is not None]
    waves = sorted({wave_of(one.live) for one in going if one.live})
    # What came last goes first.
    mirrored = dict(zip(waves, reversed(waves), strict=True))
    last = max((task.wave for task in found), default=0) + 1
    for one in going:
        assert one.live is not None
        wave = last if options.of(one.live).has("PruneLast") else mirrored[wave_of(one.live)]
        found.append(Task("Sync", wave, one.entry, "", None))
    return found


def ordered(tasks: Iterable[Task]) -> list[Task]:
    """Tasks in the order in which they are done; what goes before what comes, in one wave."""
    return sorted(tasks, key=lambda task: (PHASES.index(task.phase), task.wave, task.value is not None, *_rank(task)))


def _rank(task: Task) -> tuple[int, str, str]:
    place = KINDS.index(task.entry.kind) if task.entry.kind in KINDS else len(KINDS)
    if task.value is None:
        place = -place
    # What others are made of, and where they are, is there before they are.
    is_first = task.value is not None and task.entry.kind in ("CustomResourceDefinition", "Namespace")
    return -1 if is_first else place, task.entry.namespace, task.entry.name


def stages(tasks: Sequence[Task]) -> list[list[Object]]:
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
