"""What an AppProject permits: sources, destinations, kinds and service accounts."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd import app_project
from gatekeeper.argocd.application_spec import Destination

HERE = Destination("https://kubernetes.default.svc", "in-cluster", "prod")


def project(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "argocd"}, "spec": spec}


@pytest.mark.parametrize(
    ("rules", "permits"),
    [
        (["*"], True),
        ([], False),
        (["https://example.com/org/*"], True),
        (["https://example.com/*"], False),
        (["https://example.com/**"], True),
        (["https://EXAMPLE.com/org/repo.git"], True),
        (["*", "!https://example.com/org/*"], False),
        (["!https://example.com/other/*"], False),
        (["*", "!https://example.com/other/*"], True),
    ],
)
def test_a_source_needs_an_allow_rule_and_no_deny_rule(rules: list[str], permits: bool) -> None:
    assert app_project.is_source_permitted(project(sourceRepos=rules), "https://example.com/org/repo") is permits


@pytest.mark.parametrize(
    ("rules", "permits"),
    [
        ([{"server": "*", "namespace": "*"}], True),
        ([], False),
        ([{"name": "in-cluster", "namespace": "pr*"}], True),
        ([{"server": "https://other", "namespace": "*"}], False),
        ([{"server": "*", "namespace": "dev"}], False),
        ([{"server": "*", "namespace": "*"}, {"server": "*", "namespace": "!prod"}], False),
        ([{"server": "*", "namespace": "*"}, {"server": "!https://kubernetes.default.svc", "namespace": "*"}], False),
        ([{"server": "*", "namespace": "*"}, {"server": "*", "namespace": "!dev"}], True),
        ([{"namespace": "*"}], False),
    ],
)
def test_a_destination_needs_an_allow_rule_and_no_deny_rule(rules: list[Any], permits: bool) -> None:
    assert app_project.is_destination_permitted(project(destinations=rules), HERE) is permits


def test_kinds_are_permitted_by_allow_and_deny_lists() -> None:
    role, config = (
        InventoryEntry("", "r", "rbac.authorization.k8s.io", "ClusterRole", "v1"),
        InventoryEntry("a", "x", "", "ConfigMap", "v1"),
    )
    assert not app_project.is_kind_permitted(project(), role, False) and app_project.is_kind_permitted(
        project(), config, True
    )
    named = [{"group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r*"}]
    assert app_project.is_kind_permitted(project(clusterResourceWhitelist=named), role, False)
    assert not app_project.is_kind_permitted(project(clusterResourceWhitelist=named), role._replace(name="x"), False)
    every = [{"group": "*", "kind": "*"}]
    both = project(clusterResourceWhitelist=every, clusterResourceBlacklist=every)
    assert not app_project.is_kind_permitted(both, role, False)
    assert not app_project.is_kind_permitted(
        project(namespaceResourceBlacklist=[{"group": "", "kind": "ConfigMap"}]), config, True
    )
    assert not app_project.is_kind_permitted(project(namespaceResourceWhitelist=[]), config, True)


def test_a_service_account_is_in_its_own_namespace_or_in_that_of_the_destination() -> None:
    rules = [
        {"server": "https://other", "defaultServiceAccount": "x"},
        {"server": "*", "namespace": "prod", "defaultServiceAccount": "ops:deployer"},
        {"server": "*", "defaultServiceAccount": "own"},
    ]
    held = project(destinationServiceAccounts=rules)
    assert app_project.find_service_account(held, HERE) == "system:serviceaccount:ops:deployer"
    assert app_project.find_service_account(held, HERE._replace(namespace="dev")) == "system:serviceaccount:dev:own"
    assert app_project.find_service_account(project(), HERE) == ""
