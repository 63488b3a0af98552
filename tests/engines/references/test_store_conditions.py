"""ExternalSecrets in namespaces that their ClusterSecretStore does not allow."""

from __future__ import annotations

import pytest

from tests.conftest import Repository
from tests.engines.references.objects import find_faults, list_places

STORE = """\
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: vault}
spec:
  provider: {fake: {data: []}}
  conditions: [CONDITION]
---
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {stage: production}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: all, namespace: prod}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: vault}
  dataFrom: [{extract: {key: a}}]
"""


@pytest.mark.parametrize(
    ("condition", "serves"),
    [
        ("{namespaces: [prod]}", True),
        ("{namespaces: [test]}", False),
        ("{namespaceRegexes: ['^pr']}", True),
        ("{namespaceRegexes: ['^te']}", False),
        ("{namespaceSelector: {matchLabels: {stage: production}}}", True),
        ("{namespaceSelector: {matchLabels: {stage: test}}}", False),
        ("{namespaces: [test]}, {namespaces: [prod]}", True),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: prod}}}", True),
        ("{namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}}", False),
        ("{namespaceSelector: {matchExpressions: [{key: stage, operator: Exists}]}}", True),
    ],
)
def test_a_store_that_does_not_serve_the_namespace_is_found(
    repository: Repository, condition: str, serves: bool
) -> None:
    told = [
        one for one in list_places(find_faults(repository, STORE.replace("CONDITION", condition))) if one[0] == "store"
    ]
    assert told == ([] if serves else [("store", "0.yaml", 16)])


def test_a_store_is_no_finding_if_one_of_its_overlays_serves_the_namespace(repository: Repository) -> None:
    denied = STORE.replace("CONDITION", "{namespaces: [test]}")
    allowed = STORE.partition("---")[0].replace("CONDITION", "{namespaces: [prod]}")
    assert "store" in {place[0] for place in list_places(find_faults(repository, denied))}
    assert "store" not in {place[0] for place in list_places(find_faults(repository, denied, allowed))}
