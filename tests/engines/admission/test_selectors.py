"""Names with wildcards, and the namespaces of a repository."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.selectors import NamespaceIndex, UnknownNamespaceError, is_glob_match
from tests.engines.resources import parse_resources

OBJECTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {stage: production}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: prod}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: other}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: c}
"""


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("prod-*", "prod-a", True),
        ("*-prod", "a-prod", True),
        ("*ro*", "prod", True),
        ("prod", "prod", True),
        ("prod", "prod-a", False),
        ("pro*", "test", False),
        ("p*d", "prod", False),
    ],
)
def test_is_glob_match(pattern: str, text: str, expected: bool) -> None:
    assert is_glob_match(pattern, text) is expected


def test_the_namespace_of_a_resource_is_selected_by_its_labels() -> None:
    namespace, in_prod, elsewhere, cluster_wide = parse_resources(OBJECTS)
    index = NamespaceIndex([namespace])
    selector = {"matchLabels": {"stage": "production"}}
    assert [index.is_selected(selector, one, "selector") for one in (namespace, in_prod, cluster_wide)] == [True] * 3
    with pytest.raises(UnknownNamespaceError, match="namespace `other`, which the repository does not contain"):
        index.is_selected(selector, elsewhere, "selector")


def test_the_name_of_an_unknown_namespace_is_enough_for_a_selector_by_name() -> None:
    *_, elsewhere, _ = parse_resources(OBJECTS)
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "other"}}
    assert NamespaceIndex([]).is_selected(selector, elsewhere, "selector")
