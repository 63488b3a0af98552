"""The fields of a Kustomization that decide how it is applied."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.errors import SpecError
from gatekeeper.flux import kustomization_spec
from gatekeeper.flux.kustomization_spec import HealthCheck
from gatekeeper.kube.decoder import FieldError


def kustomization(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {"interval": "10m", **spec}}


def test_timeout_defaults_to_the_interval_with_a_margin() -> None:
    parse = kustomization_spec.parse_kustomization_spec
    assert parse(kustomization()).timeout_seconds == 570.0
    assert parse(kustomization(interval="10s")).timeout_seconds == 30.0
    assert parse(kustomization(timeout="2m")).timeout_seconds == 120.0


def test_health_check_gets_the_rule_of_its_kind_before_that_of_its_group() -> None:
    rules = [
        {"apiVersion": "example.com/v1", "current": "true"},
        {"apiVersion": "example.com/v1", "kind": "Widget", "current": "false"},
    ]
    checks = [{"apiVersion": "example.com/v2", "kind": kind, "name": "a"} for kind in ("Widget", "Gadget")]
    checks.append({"kind": "Deployment", "name": "web", "namespace": "prod"})
    parsed = kustomization_spec.parse_kustomization_spec(kustomization(healthCheckExprs=rules, healthChecks=checks))
    assert [check.rule.expressions["current"] if check.rule else "" for check in parsed.health_checks] == [
        "false",
        "true",
        "",
    ]
    assert str(parsed.health_checks[0]) == "Widget flux-system/a"
    assert parsed.health_checks[2] == HealthCheck("apps/v1", "Deployment", "prod", "web")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"wait": "yes"}, "wait"),
        ({"kubeConfig": {"configMapRef": {"name": "x"}}}, "configMapRef"),
        ({"kubeConfig": {"secretRef": {}}}, "kubeConfig"),
        ({"newField": 1}, "newField` is not supported yet"),
        ({"decryption": {"provider": "kms"}}, "decryption.provider"),
        ({"dependsOn": [{"name": "a", "other": 1}]}, "other"),
    ],
)
def test_invalid_or_unsupported_field_is_rejected_by_name(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        kustomization_spec.parse_kustomization_spec(kustomization(**spec))


def test_invalid_expression_is_an_error_before_anything_is_applied() -> None:
    with pytest.raises(SpecError):
        kustomization_spec.parse_kustomization_spec(kustomization(dependsOn=[{"name": "a", "readyExpr": "dep."}]))


def test_variable_without_value_is_an_error_with_post_build_alone() -> None:
    value = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "${region}"}}
    with pytest.raises(SpecError, match="ConfigMap a: nothing in the repository sets `region`"):
        kustomization_spec.require_variables([value], kustomization(postBuild={"substitute": {}}))
    kustomization_spec.require_variables([value], kustomization())
    annotations = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
    excluded = {**value, "metadata": {"name": "a", "annotations": annotations}}
    kustomization_spec.require_variables([excluded], kustomization(postBuild={"substitute": {}}))
