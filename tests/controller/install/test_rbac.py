"""RBAC rules: no controller gets rights that only another one needs."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.controller.install.rbac import InstallOptions, build_rbac
from gatekeeper.terminal.controller_options import CONTROLLERS


def rules(*controllers: str, kind: str = "ClusterRole") -> list[dict[str, Any]]:
    roles = [one for one in build_rbac(InstallOptions("ns", "image", controllers)) if one["kind"] == kind]
    return [rule for role in roles for rule in role["rules"]]


def verbs(found: list[dict[str, Any]], resource: str) -> set[str]:
    return {verb for rule in found if resource in rule["resources"] for verb in rule["verbs"]}


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_no_rule_has_a_wildcard(controller: str) -> None:
    for rule in [*rules(controller), *rules(controller, kind="Role")]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_secrets_are_written_only_where_secrets_are_made() -> None:
    for controller in CONTROLLERS:
        can_write = bool(verbs(rules(controller), "secrets") - {"get"})
        assert can_write is (controller in ("sealed", "external"))
    assert verbs(rules("admission"), "secrets") == set()


def test_only_flux_and_argo_impersonate() -> None:
    assert [one for one in CONTROLLERS if "impersonate" in verbs(rules(one), "serviceaccounts")] == ["flux", "argo"]


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_every_role_is_bound_to_the_service_account(controller: str) -> None:
    found = list(build_rbac(InstallOptions("ns", "image", [controller])))
    roles = {(one["kind"], one["metadata"]["name"]) for one in found if one["kind"].endswith("Role")}
    bindings = [one for one in found if one["kind"].endswith("RoleBinding")]
    assert {(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings} == roles
    assert all(subject["namespace"] == "ns" for one in bindings for subject in one["subjects"])
