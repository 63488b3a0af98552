"""The references of a Kustomization, and when a dependency is ready."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.flux import dependencies
from gatekeeper.flux.dependencies import Dependency
from gatekeeper.model import NamespacedName


def kustomization(
    name: str = "apps", ready: str = "True", revision: str = "main@sha1:1", **spec: Any
) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "observedGeneration": 2}
    return {
        "metadata": {"name": name, "namespace": "flux-system", "generation": 2},
        "spec": {"sourceRef": {"kind": "GitRepository", "name": "r"}, **spec},
        "status": {"conditions": [condition], "lastAppliedRevision": revision},
    }


def test_source_is_a_git_repository_in_any_namespace() -> None:
    assert dependencies.source_of(kustomization()) == NamespacedName("flux-system", "r")
    elsewhere = kustomization(sourceRef={"kind": "GitRepository", "name": "r", "namespace": "git"})
    assert dependencies.source_of(elsewhere) == NamespacedName("git", "r")
    assert dependencies.source_of(kustomization(sourceRef={"kind": "OCIRepository", "name": "r"})) is None
    assert dependencies.source_of({"metadata": {"name": "a"}, "spec": {}}) is None


def test_dependencies_default_to_the_own_namespace() -> None:
    entries = [{"name": "base"}, {"name": "crds", "namespace": "infra", "readyExpr": "true"}]
    assert dependencies.list_dependencies(kustomization(dependsOn=entries)) == [
        Dependency(NamespacedName("flux-system", "base")),
        Dependency(NamespacedName("infra", "crds"), "true"),
    ]
    assert dependencies.list_dependencies(kustomization()) == [] == dependencies.list_dependencies(None)


BASE = Dependency(NamespacedName("flux-system", "base"))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (None, "dependency 'flux-system/base' not found"),
        (kustomization("base", "False"), "dependency 'flux-system/base' is not ready"),
        (kustomization("base", revision="main@sha1:0"), "is not at revision main@sha1:1 yet"),
        (kustomization("base"), ""),
        # Another source has revisions of its own.
        (kustomization("base", revision="x", sourceRef={"kind": "GitRepository", "name": "other"}), ""),
    ],
)
def test_dependency_is_ready_by_its_status_and_revision(other: dict[str, Any] | None, reason: str) -> None:
    found = dependencies.find_unready_reason(kustomization(), BASE, other, "main@sha1:1")
    assert reason in found and bool(found) == bool(reason)


def test_same_commit_of_another_branch_counts_and_no_revision_means_any() -> None:
    other = kustomization("base", revision="main@sha1:1")
    assert dependencies.find_unready_reason(kustomization(), BASE, other, "HEAD@sha1:1") == ""
    assert dependencies.find_unready_reason(kustomization(), BASE, other, "main@sha1:2") != ""
    assert dependencies.find_unready_reason(kustomization(), BASE, other, "") == ""


def test_stale_condition_is_not_ready() -> None:
    value = kustomization()
    assert dependencies.is_ready(value) and dependencies.is_applied_at(value, "main@sha1:1")
    assert not dependencies.is_applied_at(value, "main@sha1:2")
    value["metadata"]["generation"] = 3
    assert not dependencies.is_ready(value) and not dependencies.is_applied_at(value, "main@sha1:1")


def test_expression_replaces_the_status_and_its_error_is_a_reason() -> None:
    def reason(expression: str) -> str:
        dependency = BASE._replace(ready_expression=expression)
        return dependencies.find_unready_reason(kustomization(), dependency, kustomization("base", "False"), "x")

    assert reason("dep.metadata.name == 'base'") == ""
    assert "`readyExpr` evaluates to false" in reason("dep.metadata.name == 'other'")
    assert "dependency 'flux-system/base' is not ready: `readyExpr`" in reason("dep.")
