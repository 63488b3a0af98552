"""Parameters of bindings. Random ones: `test_policy_differential.py`."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission.cel.parameters import BindingParameters, ParametersDeniedError, find_parameters
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.errors import PolicyError
from tests.engines.resources import parse_resources

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}
LIMIT = {"apiVersion": "example.com/v2", "kind": "Limit"}
RESOURCES = parse_resources("""\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: prod, labels: {kind: limit}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: dev, labels: {kind: limit}}
---
apiVersion: example.com/v1
kind: Limit
metadata: {name: a}
""")
LIMITS = tuple(CustomKind("example.com", version, "Limit", False, {"type": "object"}) for version in ("v1", "v2"))


def find(
    kind: Any,
    kinds: tuple[CustomKind, ...] = LIMITS,
    **ref: Any,
) -> BindingParameters:
    scopes = KindScopes(kinds)
    found = find_parameters(kind, ref, RESOURCES, scopes)
    assert found is not None
    return found


def test_parameters_are_in_the_namespace_of_the_object() -> None:
    found = find(CONFIG_MAP, selector={"matchLabels": {"kind": "limit"}})
    assert [one.json for one in found.select("dev")] == [RESOURCES[1].json]
    assert found.select("test") == []
    with pytest.raises(ParametersDeniedError, match=r"^failed to configure binding: cannot use namespaced paramRef"):
        found.select("")


def test_missing_parameters_may_deny() -> None:
    found = find(CONFIG_MAP, name="a", parameterNotFoundAction="Deny")
    assert len(found.select("prod")) == 1
    with pytest.raises(ParametersDeniedError, match="no params found for policy binding with `Deny`"):
        found.select("dev")


def test_parameters_without_namespace_count_everywhere() -> None:
    [limit] = find(LIMIT, name="a").select("prod")
    assert (limit.json, limit.api_version) == (RESOURCES[2].json, "example.com/v2")
    with pytest.raises(ParametersDeniedError, match="must not be provided for a cluster-scoped"):
        find(LIMIT, name="a", namespace="prod").select("prod")


def test_parameters_that_the_repository_does_not_know_are_a_gap() -> None:
    with pytest.raises(PolicyError, match=r"does not contain its parameters \(ConfigMap c\)"):
        find(CONFIG_MAP, name="c")
    with pytest.raises(PolicyError, match=r"Limit \(example.com/v2\), are namespaced: add the CRD"):
        find(LIMIT, (), name="a")
    converted = tuple(one._replace(conversion="Webhook") for one in LIMITS)
    with pytest.raises(PolicyError, match="a webhook in the cluster converts this kind"):
        find(LIMIT, converted, name="a")


def test_a_policy_without_parameters_has_none() -> None:
    scopes = KindScopes(())
    assert find_parameters(None, {"name": "a"}, RESOURCES, scopes) is None
    assert find_parameters(CONFIG_MAP, None, RESOURCES, scopes) is None
