"""The Argo CD controller: what triggers a reconcile, and what it needs to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import manifest_generation
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.argocd import controller, git_webhook
from gatekeeper.controller.argocd.controller import ArgoController, ArgoOptions
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError
from gatekeeper.model import NamespacedName
from gatekeeper.repositories.provenance import CommitProvenance
from tests.argocd.conftest import ArgoCluster
from tests.conftest import needs
from tests.controller.argocd.environment import application

pytestmark = needs("gatekeeper-upstream")


def open_controller(cluster: DynamicClient, folder: Path) -> ArgoController:
    options = ArgoOptions(PruneBudget(), manifest_generation.check_applications, storage_dir=folder)
    return ArgoController(cluster, options, lambda key: True, lambda event: None, Metrics())


@pytest.fixture
def opened(argocd_cluster: ArgoCluster, tmp_path: Path) -> Iterator[ArgoController]:
    yield open_controller(argocd_cluster.client, tmp_path)


def test_a_cluster_that_it_may_not_read_keeps_it_from_starting(argocd_cluster: ArgoCluster, tmp_path: Path) -> None:
    client = argocd_cluster.client.impersonate("system:serviceaccount:prod:nobody")
    with pytest.raises(ToolError):
        open_controller(client, tmp_path)


def test_only_the_address_of_the_webhook_is_answered(opened: ArgoController) -> None:
    assert opened.handle_webhook(HttpRequest("POST", "/other", {}, b"")) is None
    response = opened.handle_webhook(HttpRequest("POST", git_webhook.WEBHOOK_PATH, {}, b"{}"))
    assert response is not None and response.status >= 400


def test_the_provenance_of_an_unknown_application_is_empty(opened: ArgoController) -> None:
    assert opened.find_provenance(NamespacedName("argocd", "none")) == CommitProvenance()


def change(**fields: Any) -> dict[str, Any]:
    """An Application in which some parts differ."""
    value = application()
    value["metadata"].update(uid="1", resourceVersion="1")
    for path, field in fields.items():
        target = value
        *parents, last = path.split("__")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = field
    return value


@pytest.mark.parametrize(
    ("fields", "is_trigger"),
    [
        ({}, False),
        ({"metadata__resourceVersion": "2"}, False),
        ({"status__sync": {"status": "Synced"}}, False),
        ({"status__operationState": {"phase": "Running"}}, False),
        ({"status__operationState": {"phase": "Terminating"}}, True),
        ({"metadata__annotations": {"argocd.argoproj.io/refresh": "normal"}}, True),
        ({"metadata__labels": {"a": "b"}}, True),
        ({"metadata__deletionTimestamp": "2026-01-01T00:00:00Z"}, True),
        ({"metadata__uid": "2"}, True),
        ({"operation": {"sync": {}}}, True),
        ({"spec__project": "other"}, True),
    ],
)
def test_a_change_of_what_users_write_triggers_a_reconcile(
    opened: ArgoController, fields: dict[str, Any], is_trigger: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[NamespacedName] = []
    monkeypatch.setattr(opened.application_worker, "add", added.append)
    name = NamespacedName("argocd", "shop")
    old, new = (controller._strip_application(value) for value in (change(), change(**fields)))
    opened._on_application_change(name, old, new)
    assert added == ([name] if is_trigger else [])
    opened._on_application_change(name, new, None)
    assert added[-1:] == [name], "a deleted Application is reconciled"


def test_of_an_application_only_what_a_reconcile_needs_is_kept() -> None:
    kept = controller._strip_application(change(status__resources=[{}] * 1000, metadata__managedFields=[{}]))
    assert "managedFields" not in kept["metadata"] and kept["status"] == {"operationState": {"phase": None}}
    assert kept["key"] is not None and kept["spec"] == application()["spec"]


def test_an_application_with_an_invalid_spec_has_no_source_and_is_kept() -> None:
    assert controller._strip_application(change(spec__destination="text"))["key"] is None
