"""What a cluster has at the start of a round, from a real API server."""

from __future__ import annotations

import base64

import pytest

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets.cluster_state import build_template_reader, read_cluster_state
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.model import CreationPolicy, ExternalSecretSpec
from gatekeeper.externalsecrets.target.ownership import CREATED_BY_LABEL, MANAGED_LABEL
from gatekeeper.stores.protocol import StoreError
from tests.cluster.conftest import api_server, dynamic_client
from tests.servers.cluster import Cluster

__all__ = ["api_server", "dynamic_client"]


def spec(name: str, policy: CreationPolicy = "Owner") -> ExternalSecretSpec:
    empty = build_empty_spec("prod", name)
    return empty._replace(target=empty.target._replace(creation_policy=policy))


@pytest.fixture(scope="module", autouse=True)
def objects(api_server: Cluster) -> None:
    secrets = "/api/v1/namespaces/prod/secrets"
    labels = {MANAGED_LABEL: "true", CREATED_BY_LABEL: "mark"}
    data = {"a": base64.b64encode("grün".encode()).decode()}
    api_server.make(secrets, {"metadata": {"name": "managed", "labels": labels}, "data": data})
    api_server.make(secrets, {"metadata": {"name": "unmanaged"}, "data": data})
    api_server.make("/api/v1/namespaces/prod/configmaps", {"metadata": {"name": "c"}, "data": {"a": "text"}})


def names(cluster: DynamicClient | None, specs: list[ExternalSecretSpec], is_dry_run: bool) -> set[str]:
    return {name.name for name in read_cluster_state(cluster, specs, {}, is_dry_run).secrets}


def test_unmanaged_secrets_are_read_only_if_they_matter(dynamic_client: DynamicClient) -> None:
    assert names(dynamic_client, [spec("unmanaged")], False) == {"managed"}
    assert names(dynamic_client, [spec("unmanaged"), spec("none")], True) == {"managed", "unmanaged"}
    assert names(dynamic_client, [spec("unmanaged", "Merge")], False) == {"managed", "unmanaged"}
    assert names(dynamic_client, [], True) == names(None, [spec("unmanaged")], True) == set()


def test_managed_secrets_are_listed_by_the_mark_of_their_creator(dynamic_client: DynamicClient) -> None:
    state = read_cluster_state(dynamic_client, [spec("managed")], {}, False)
    assert {str(mark): secrets for mark, secrets in state.managed_secrets.items()} == {"prod/mark": ["managed"]}


def test_templates_are_read_from_the_namespace(dynamic_client: DynamicClient) -> None:
    read = build_template_reader(dynamic_client, "prod")
    assert (read("ConfigMap", "c", "a"), read("Secret", "managed", "a")) == ("text", "grün")
    for reader in (read, build_template_reader(None, "prod")):
        with pytest.raises(StoreError, match="the template `b` of ConfigMap c is missing"):
            reader("ConfigMap", "c", "b")
