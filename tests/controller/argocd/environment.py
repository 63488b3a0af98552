"""Builds the context of an Application on a real API server, without a running controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import status
from gatekeeper.argocd.application_spec import parse_application
from gatekeeper.argocd.destination import IN_CLUSTER_NAME, IN_CLUSTER_SERVER, DestinationCluster
from gatekeeper.argocd.model import ApplicationBuild
from gatekeeper.argocd.resource_tracking import ComparisonTarget, TrackingSettings
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import parse_sync_options
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.model import Verdict
from tests.argocd.conftest import APPLICATIONS, ArgoCluster
from tests.controller.argocd.test_applications import project

COMMIT = "a" * 40


def application(name: str = "shop", policy: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """An Application that is applied to the namespace `prod` of its own cluster."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd", **metadata},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://example.com/r.git", "path": "apps"},
            "destination": {"server": IN_CLUSTER_SERVER, "namespace": "prod"},
            "syncPolicy": policy or {},
        },
    }


def config_map(name: str, text: str = "1", **annotations: str) -> dict[str, Any]:
    """A ConfigMap as a repository contains it."""
    metadata = {"name": name, "annotations": {f"argocd.argoproj.io/{key}": value for key, value in annotations.items()}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": text}}


def build_environment(cluster: ArgoCluster, events: list[AuditEvent]) -> ArgoEnvironment:
    """An environment that collects audit events, and finds no objects by their marks."""
    return ArgoEnvironment(
        cluster=cluster.client,
        argocd_namespace="argocd",
        tracking=TrackingSettings(),
        budget=PruneBudget(),
        record=events.append,
        metrics=Metrics(),
        get_project=lambda name: project(),
        list_managed=lambda instance_name: [],
        watch_entries=lambda entries: None,
    )


def build_context(
    environment: ArgoEnvironment, manifest: dict[str, Any], objects: Sequence[dict[str, Any]], revision: str = COMMIT
) -> ApplicationContext:
    """The context of an Application whose sources contain some objects, all accepted by the gate."""
    parsed = parse_application(manifest)
    destination = parsed.destination._replace(name=IN_CLUSTER_NAME)
    target = ComparisonTarget(DestinationCluster(environment.cluster, destination), environment.tracking, parsed.name)
    build = ApplicationBuild(manifest, parsed, ["apps"], objects, ["Directory"], [revision])
    desired = comparison.prepare_objects(build, target, project())
    return ApplicationContext(
        environment=environment,
        manifest=manifest,
        application=parsed,
        target=target,
        options=parse_sync_options(parsed.sync_options, "the Application"),
        sync_windows=(),
        build=build,
        verdict=Verdict(),
        resources=desired.resources,
        hooks=status.select_hooks(desired.hooks),
    )


def create_application(cluster: ArgoCluster, value: dict[str, Any]) -> dict[str, Any]:
    """Create an Application in the cluster; an existing one of that name is replaced."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{value['metadata']['name']}"
    cluster.server.ask("PATCH", path, {"metadata": {"finalizers": None}})
    cluster.server.ask("DELETE", path)
    return cluster.client.create(APPLICATIONS, value)


def get_application(cluster: ArgoCluster, name: str = "shop") -> dict[str, Any] | None:
    """Read an Application; None if it does not exist."""
    return cluster.client.get(APPLICATIONS, "argocd", name)
