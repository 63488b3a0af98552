"""What projects permit, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd import app_project
from gatekeeper.argocd.application_spec import Destination
from gatekeeper.argocd.sync import sync_windows
from gatekeeper.kube.decoder import FieldError

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
def test_repositories_are_permitted_by_a_rule_and_denied_by_another(rules: list[str], permits: bool) -> None:
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
def test_destinations_are_permitted_by_a_rule_and_denied_by_another(rules: list[Any], permits: bool) -> None:
    assert app_project.is_destination_permitted(project(destinations=rules), HERE) is permits


def test_kinds_are_permitted_as_the_lists_say() -> None:
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


def test_an_account_is_of_the_namespace_that_it_names_or_of_the_destination() -> None:
    rules = [
        {"server": "https://other", "defaultServiceAccount": "x"},
        {"server": "*", "namespace": "prod", "defaultServiceAccount": "ops:deployer"},
        {"server": "*", "defaultServiceAccount": "own"},
    ]
    held = project(destinationServiceAccounts=rules)
    assert app_project.find_service_account(held, HERE) == "system:serviceaccount:ops:deployer"
    assert app_project.find_service_account(held, HERE._replace(namespace="dev")) == "system:serviceaccount:dev:own"
    assert app_project.find_service_account(project(), HERE) == ""


def window(kind: str, schedule: str, duration: str = "1h", **more: Any) -> sync_windows.SyncWindow:
    return sync_windows.parse_sync_window(
        {"kind": kind, "schedule": schedule, "duration": duration, "applications": ["*"], **more}, 0
    )


NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "is_manual", "closed"),
    [
        ([], False, False),
        ([("allow", "0 12 * * *")], False, False),
        ([("allow", "0 10 * * *")], False, True),
        ([("deny", "0 12 * * *")], False, True),
        ([("deny", "0 10 * * *")], False, False),
        ([("allow", "0 12 * * *"), ("deny", "30 12 * * *")], False, True),
        ([("deny", "0 12 * * *")], True, True),
        ([("deny", "0 12 * * *", {"manualSync": True})], True, False),
        ([("deny", "0 12 * * *", {"manualSync": True}), ("deny", "0 12 * * *")], True, True),
        ([("allow", "0 10 * * *", {"manualSync": True})], True, False),
        ([("allow", "0 10 * * *"), ("allow", "@hourly")], False, False),
        ([("deny", "0 13 * * *", {"timeZone": "Europe/Berlin"})], False, True),
    ],
)
def test_windows_say_when_it_may_be(own: list[Any], is_manual: bool, closed: bool) -> None:
    read = [window(kind, schedule, **(more[0] if more else {})) for kind, schedule, *more in own]
    assert bool(sync_windows.find_blocking_window(read, NOON, is_manual)) is closed


def test_it_is_known_when_a_window_begins_or_ends() -> None:
    assert sync_windows.seconds_until_change([window("deny", "0 12 * * *")], NOON) == 1800
    assert sync_windows.seconds_until_change([window("allow", "45 12 * * *", "10m")], NOON) == 900
    assert sync_windows.seconds_until_change([], NOON) == sync_windows.DAY_SECONDS


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"schedule": "* * *"}, "is not a cron schedule"),
        ({"schedule": "61 * * * *"}, "is not a cron schedule"),
        ({"schedule": "* * * * *", "timeZone": "Nowhere/At"}, "is not a time zone: Nowhere/At"),
        ({}, "`spec.syncWindows[0].schedule` is missing"),
        ({"schedule": "* * * * *", "kind": "maybe"}, "it can be allow, deny"),
        ({"schedule": "* * * * * *"}, "is not a cron schedule"),
    ],
)
def test_a_window_that_is_none_is_told(value: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        sync_windows.parse_sync_window(value, 0)
    assert words in str(caught.value)
