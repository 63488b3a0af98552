"""The resources that `spec.match` of a constraint selects."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission import constraint_match
from gatekeeper.engines.admission.selectors import NamespaceIndex, UnknownNamespaceError
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource
from tests.engines.resources import parse_resources

OBJECTS = (
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {stage: production}}\n---\n"
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: prod, labels: {app: web}}\n---\n"
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\n---\n"
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: elsewhere}\n"
)


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        (None, ["prod", "a", "c", "b"]),
        ({"kinds": [{"apiGroups": [""], "kinds": ["ConfigMap"]}]}, ["a", "b"]),
        ({"kinds": [{"kinds": ["ClusterRole"]}]}, ["c"]),
        ({"kinds": [{"apiGroups": ["*"], "kinds": ["*"]}]}, ["prod", "a", "c", "b"]),
        ({"namespaces": ["pro*"]}, ["prod", "a", "c"]),
        ({"excludedNamespaces": ["*where"]}, ["prod", "a", "c"]),
        ({"scope": "Cluster"}, ["prod", "c"]),
        ({"scope": "Namespaced"}, ["a", "b"]),
        ({"labelSelector": {"matchLabels": {"app": "web"}}}, ["a"]),
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}, ["a"]),
        (
            {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}},
            ["prod", "c", "b"],
        ),
        ({"name": "a*"}, ["a"]),
        ({"source": "Generated"}, []),
    ],
)
def test_a_match_selects_resources(spec: Any, selected: list[str]) -> None:
    resources = parse_resources(OBJECTS)
    constraint, namespaces = constraint_match.parse_match(spec), NamespaceIndex(resources)
    assert [one.ref.name for one in resources if constraint.is_match(one, namespaces)] == selected


def test_labels_of_an_unknown_namespace_are_not_guessed() -> None:
    resources = parse_resources(OBJECTS)
    spec = {"namespaceSelector": {"matchLabels": {"stage": "production"}}}
    constraint, namespaces = constraint_match.parse_match(spec), NamespaceIndex(resources)

    def is_match(resource: Resource) -> bool:
        return constraint.is_match(resource, namespaces)

    assert [is_match(one) for one in resources[:3]] == [True, True, True]
    with pytest.raises(UnknownNamespaceError, match="namespace `elsewhere`"):
        is_match(resources[3])
    named = constraint_match.parse_match(
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
    )
    assert named.is_match(resources[3], namespaces)


@pytest.mark.parametrize(
    "spec",
    [
        {"namespace": ["a"]},
        {"scope": "All"},
        {"kinds": ["Pod"]},
        {"labelSelector": {"app": "web"}},
        {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}},
        {"namespaces": "a"},
        [],
    ],
)
def test_a_malformed_match_is_refused(spec: Any) -> None:
    with pytest.raises(PolicyError):
        constraint_match.parse_match(spec)
