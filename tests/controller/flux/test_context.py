"""What the reconcilers of Flux objects share: which objects depend on a GitRepository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.flux.context import FluxEnvironment
from gatekeeper.model import NamespacedName
from tests.controller.flux.test_kustomizations import (
    KUSTOMIZATION,
    NAME,
    REPOSITORY,
    ListedObjects,
    environment,
    unreachable_cluster,
)

__all__ = ["unreachable_cluster"]


def build_repository(
    name: str, namespace: str = "flux-system", include: Any = None
) -> tuple[NamespacedName, dict[str, Any]]:
    value = {"metadata": {"name": name, "namespace": namespace}, "spec": {"include": include}}
    return NamespacedName(namespace, name), value


def build_environment(
    cluster: DynamicClient, folder: Path, *repositories: tuple[NamespacedName, dict[str, Any]]
) -> FluxEnvironment:
    return environment(cluster, folder, ListedObjects(*repositories))


def test_kustomizations_are_those_that_name_the_repository(unreachable_cluster: DynamicClient, tmp_path: Path) -> None:
    found = build_environment(unreachable_cluster, tmp_path)
    assert found.list_kustomizations(REPOSITORY) == [KUSTOMIZATION]
    assert found.list_kustomizations(NamespacedName("other", "r")) == []
    other = {**KUSTOMIZATION, "spec": {"sourceRef": {"kind": "Bucket", "name": "r"}}}
    assert found._replace(kustomizations=ListedObjects((NAME, other))).list_kustomizations(REPOSITORY) == []


def test_repositories_that_include_another_one_are_in_its_namespace(
    unreachable_cluster: DynamicClient, tmp_path: Path
) -> None:
    include = [{"repository": {"name": "r"}}]
    found = build_environment(
        unreachable_cluster,
        tmp_path,
        build_repository("one", include=include),
        build_repository("two", "other", include=include),
        build_repository("three", include=[{"repository": {"name": "x"}}]),
        build_repository("four", include="text"),
        build_repository("five"),
    )
    assert found.list_includers(REPOSITORY) == [NamespacedName("flux-system", "one")]
