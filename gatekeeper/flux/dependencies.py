"""The references of a Flux Kustomization to other objects: its GitRepository, and the Kustomizations it depends on.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (source reference, dependencies),
`internal/controller/kustomization_controller.go` (`checkDependencies`).
"""

from __future__ import annotations

from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import SpecError
from gatekeeper.flux import health_expressions
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import conditions
from gatekeeper.model import NamespacedName, Object, get_field, name_of
from gatekeeper.named_tuple import NamedTuple

KIND = "Kustomization"
VERSIONS = ("v1", "v1beta2", "v1beta1")
GIT_REPOSITORY = "GitRepository"


class Dependency(NamedTuple):
    """One entry of `spec.dependsOn`.

    Attributes:
        ready_expression: decides whether the dependency is ready, instead of its status; empty for its status.
    """

    name: NamespacedName
    ready_expression: str = ""


def source_of(kustomization: Object) -> NamespacedName | None:
    """The GitRepository that a Kustomization names; None if it names another kind."""
    ref = get_field(kustomization, ("spec", "sourceRef")) or {}
    if ref.get("kind") != GIT_REPOSITORY:
        return None
    namespace = ref.get("namespace") or name_of(kustomization, "default").namespace
    return NamespacedName(namespace, str(ref.get("name")))


def list_dependencies(kustomization: Object | None) -> list[Dependency]:
    """The Kustomizations that a Kustomization depends on."""
    if kustomization is None:
        return []
    namespace = name_of(kustomization, "default").namespace
    entries = get_field(kustomization, ("spec", "dependsOn")) or ()
    return [
        Dependency(
            NamespacedName(entry.get("namespace") or namespace, str(entry.get("name"))),
            str(entry.get("readyExpr") or ""),
        )
        for entry in entries
    ]


def find_unready_reason(kustomization: Object, dependency: Dependency, other: Object | None, revision: str) -> str:
    """Why a dependency is not ready; empty if it is.

    Args:
        other: the dependency as it is in the cluster; None if it does not exist.
        revision: the revision that a dependency with the same source must have applied; empty for any.
    """
    if other is None:
        return f"dependency '{dependency.name}' not found"
    if dependency.ready_expression:
        return _evaluate_expression(kustomization, dependency, other)
    if not is_ready(other):
        return f"dependency '{dependency.name}' is not ready"
    has_same_source = bool(revision) and source_of(other) == source_of(kustomization)
    if has_same_source and _commit_of(get_last_applied(other)) != _commit_of(revision):
        return f"dependency '{dependency.name}' is not at revision {revision} yet"
    return ""


def _commit_of(revision: str) -> str:
    """The part of a revision that identifies the content: a checkout may name another branch than the GitRepository."""
    return revision.rpartition("@")[2]


def find_unready_expression(cluster: DynamicClient, kustomization: Object) -> str:
    """Why a dependency with a `readyExpr` is not ready; empty if all are. Other dependencies are not looked at.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    name = name_of(kustomization, "default")
    for dependency in list_dependencies(kustomization):
        if dependency.ready_expression:
            own, other = get_kustomization(cluster, name), get_kustomization(cluster, dependency.name)
            reason = _evaluate_expression(own, dependency, other)
            if reason:
                return reason
    return ""


def _evaluate_expression(kustomization: Any, dependency: Dependency, other: Any) -> str:
    try:
        reason = health_expressions.find_unready_reason(dependency.ready_expression, kustomization, other)
    except SpecError as error:
        reason = str(error)
    return f"dependency '{dependency.name}' is not ready: {reason}" if reason else ""


def get_kustomization(cluster: DynamicClient, name: NamespacedName) -> Object | None:
    """A Kustomization of the cluster; None if it does not exist, or the cluster does not serve the kind.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    kind = cluster.find_newest_kind(GROUP, VERSIONS, KIND)
    return cluster.get(kind, *name) if kind is not None else None


def get_last_applied(kustomization: Object) -> str:
    """The revision that a Kustomization applied last; empty if it has applied none."""
    return str(get_field(kustomization, ("status", "lastAppliedRevision")) or "")


def is_applied_at(kustomization: Object, revision: str) -> bool:
    """Whether a Kustomization is ready at this revision, and unchanged since."""
    return is_ready(kustomization) and get_last_applied(kustomization) == revision


def is_ready(kustomization: Object) -> bool:
    """Whether the Ready condition of a Kustomization is true and of its current generation."""
    ready, generation = conditions.find_ready_condition(kustomization), kustomization["metadata"].get("generation")
    return ready.get("status") == "True" and ready.get("observedGeneration") == generation
