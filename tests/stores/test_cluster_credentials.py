"""The credentials of a store in a real cluster: a SecretStore is bound to its namespace."""

from __future__ import annotations

import pytest

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.stores.cluster_credentials import SERVICE_ACCOUNTS, ClusterCredentials
from gatekeeper.stores.protocol import StoreError


def test_bound_store_reads_its_own_namespace_alone(dynamic_client: DynamicClient) -> None:
    metadata = {"name": "login", "namespace": "prod"}
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": "t"}}
    dynamic_client.create(secrets.SECRETS, value)
    bound = ClusterCredentials(dynamic_client, "prod", True)
    assert bound.read_secret("", "login", "token").reveal() == b"t"
    assert bound.read_text("Secret", "prod", "login", "token") == "t"
    with pytest.raises(StoreError, match="a SecretStore may use only its own namespace"):
        bound.read_secret("default", "login", "token")
    with pytest.raises(StoreError, match="needs a namespace"):
        ClusterCredentials(dynamic_client, "", False).read_secret("", "login", "token")
    assert ClusterCredentials(dynamic_client, "", False).read_secret("prod", "login", "token").reveal() == b"t"


def test_missing_credential_is_named(dynamic_client: DynamicClient) -> None:
    credentials = ClusterCredentials(dynamic_client, "prod", True)
    with pytest.raises(StoreError, match="`token` of the Secret prod/missing"):
        credentials.read_secret("", "missing", "token")
    with pytest.raises(StoreError, match="`ca` of the ConfigMap prod/missing"):
        credentials.read_text("ConfigMap", "", "missing", "ca")
    for read in (
        lambda: credentials.create_token("", "missing", [], 600),
        lambda: credentials.read_annotations("", "missing"),
    ):
        with pytest.raises(StoreError, match=r"ServiceAccount prod/missing to sign in with \(NotFound\)"):
            read()


def test_token_of_a_service_account(dynamic_client: DynamicClient) -> None:
    metadata = {"name": "app", "namespace": "prod", "annotations": {"role": "reader"}}
    value = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    dynamic_client.create(SERVICE_ACCOUNTS, value)
    credentials = ClusterCredentials(dynamic_client, "prod", True)
    token = credentials.create_token("", "app", ["https://kubernetes.default.svc"], 600)
    assert token.reveal().count(b".") == 2 and credentials.read_annotations("", "app")["role"] == "reader"
