"""The scope of Kubernetes' own kinds, as a real API server says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.cluster import client
from gatekeeper.engines.schema.kind_scopes import KindScopes, pluralize
from gatekeeper.model import ObjectRef
from tests.servers import cluster as servers


def test_the_scope_of_each_kind_is_that_of_the_api_server(tmp_path: Path) -> None:
    with servers.running(tmp_path) as server, client.connect(server.kubeconfig) as connection:
        kinds = list(connection.list_kinds())
    assert len(kinds) > 40
    scopes = KindScopes(())
    wrong = [
        (kind.api_version, name)
        for name, kind in kinds
        if scopes.is_namespaced(ObjectRef(kind.api_version, name, "", "")) is not kind.is_namespaced
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Pod", "pods"),
        ("Ingress", "ingresses"),
        ("NetworkPolicy", "networkpolicies"),
        ("Endpoints", "endpoints"),
        ("Gateway", "gateways"),
        ("StorageClass", "storageclasses"),
        ("Proxy", "proxies"),
    ],
)
def test_pluralize(kind: str, plural: str) -> None:
    assert pluralize(kind) == plural
