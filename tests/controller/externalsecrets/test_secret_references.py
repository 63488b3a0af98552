"""Which Secrets of a cluster a store uses."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.externalsecrets import secret_references
from gatekeeper.externalsecrets.collection import DesiredSecrets
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.model import DataEntry, RemoteRef, StoreRef
from gatekeeper.model import NamespacedName

SHARED = StoreKey("ClusterSecretStore", "", "vault")


def store(**provider: Any) -> dict[str, Any]:
    return {"spec": {"provider": provider}}


def test_references_are_found_at_any_depth_and_by_name_or_key() -> None:
    vault = {
        "auth": {"appRole": {"secretRef": {"name": "role", "namespace": "a"}}, "tokenSecretRef": {"name": "token"}},
        "caProvider": {"type": "Secret", "name": "ca"},
        "list": [{"any": {"name": "listed", "key": "k"}}],
        "role": {"name": "not-a-secret"},
    }
    key = StoreKey("SecretStore", "prod", "vault")
    assert secret_references.list_credential_secrets(key, store(vault=vault)) == {
        NamespacedName("a", "role"),
        NamespacedName("prod", "token"),
        NamespacedName("prod", "ca"),
        NamespacedName("prod", "listed"),
    }
    assert secret_references.list_credential_secrets(key, {}) == set()


def test_reference_without_a_namespace_means_the_secret_of_any_namespace() -> None:
    shared = store(aws={"auth": {"secretRef": {"accessKeyIDSecretRef": {"name": "keys", "key": "id"}}}})
    assert secret_references.is_credential_secret(NamespacedName("any", "keys"), SHARED, shared)
    assert not secret_references.is_credential_secret(NamespacedName("any", "other"), SHARED, shared)
    bound = StoreKey("SecretStore", "prod", "aws")
    assert not secret_references.is_credential_secret(NamespacedName("any", "keys"), bound, shared)


def test_source_secrets_are_those_of_kubernetes_stores() -> None:
    entries = tuple(
        DataEntry(key, RemoteRef(key), StoreRef("ClusterSecretStore", name))
        for key, name in (("db", "kube"), ("web", "default"), ("x", "vault"))
    )
    spec = build_empty_spec("prod", "a")._replace(data=entries)
    stores = {
        SHARED._replace(name="kube"): store(kubernetes={"remoteNamespace": "source"}),
        SHARED._replace(name="default"): store(kubernetes={}),
        SHARED: store(vault={}),
    }
    assert secret_references.map_source_secrets(DesiredSecrets([spec], stores, [])) == {
        NamespacedName("source", "db"): [SHARED._replace(name="kube")],
        NamespacedName("default", "web"): [SHARED._replace(name="default")],
    }
