"""Vault, the real one: versions, metadata, searches, ways to sign in, and what it refuses."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.kube.decoder import FieldError
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import registry
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretQuery, SecretRef, Store, StoreError
from gatekeeper.stores.vault import VaultConfig, VaultSession, VaultStore
from tests.conftest import Repository, command, needs
from tests.servers import cluster as servers
from tests.servers import vault_server
from tests.servers.vault_server import TOKEN, VaultServer
from tests.stores.static_credentials import Held

VALUE = "hunter2-Zk9vQ1x7Lm3"
HELD = Held({"token": TOKEN, "wrong": "no-such-token"})
CREDENTIALS = HELD.values


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with vault_server.running(tmp_path_factory.mktemp("vault")) as found:
        kv = found.client.secrets.kv
        for password in ("old", VALUE):
            kv.v2.create_or_update_secret("prod/db", {"password": password, "nested": {"a": 1}})
        kv.v2.update_metadata("prod/db", custom_metadata={"team": "shop"})
        kv.v2.create_or_update_secret("prod/web/front", {"token": VALUE})
        kv.v2.create_or_update_secret("gone", {"a": "b"})
        kv.v2.delete_latest_version_of_secret("gone")
        kv.v1.create_or_update_secret("prod/db", {"password": VALUE}, mount_point="old")
        yield found


def opened(vault: VaultServer, auth: Any = None, **more: Any) -> Store:
    provider = {"server": vault.url, "path": "secret", "auth": auth or {"tokenSecretRef": {"name": "token"}}, **more}
    return registry.open_store({"spec": {"provider": {"vault": provider}}}, HELD)


def shown(outcome: FetchOutcome) -> Any:
    assert isinstance(outcome, SecretBytes), outcome
    return orjson.loads(outcome.reveal())


def test_secrets_are_read_with_versions_and_metadata(vault: VaultServer) -> None:
    store = opened(vault)
    found = store.fetch(
        [
            SecretRef("prod/db"),
            SecretRef("prod/db", "1"),
            SecretRef("prod/db", is_metadata=True),
            SecretRef("secret/data/prod/db"),
        ]
    )
    assert [shown(one) for one in found] == [
        {"password": VALUE, "nested": {"a": 1}},
        {"password": "old", "nested": {"a": 1}},
        {"team": "shop"},
        {"password": VALUE, "nested": {"a": 1}},
    ]
    assert store.request_count == 4
    store.close()


def test_a_key_stays_below_its_mount_and_means_what_it_says(vault: VaultServer) -> None:
    vault.client.secrets.kv.v2.create_or_update_secret("odd #?%2e name", {"a": "odd"})
    store = opened(vault)
    found = store.fetch(
        [
            SecretRef("odd #?%2e name"),
            SecretRef("x/../prod/db"),
            SecretRef("x/%2e%2e/prod/db"),
            SecretRef("../../old/prod/db"),
        ]
    )
    assert (
        shown(found[0]) == {"a": "odd"}
        and "must not contain `.`" in str(found[1])
        and "must not contain `.`" in str(found[3])
    )
    assert isinstance(found[2], SecretNotFoundError)


@pytest.mark.parametrize(
    "wish", [SecretRef("none"), SecretRef("gone"), SecretRef("prod/db", "7"), SecretRef("none", is_metadata=True)]
)
def test_absent_secret_is_missing_and_not_a_failure(vault: VaultServer, wish: SecretRef) -> None:
    [outcome] = opened(vault).fetch([wish])
    assert isinstance(outcome, SecretNotFoundError) and str(wish) in str(outcome)


def test_the_first_version_of_kv_is_read_too(vault: VaultServer) -> None:
    store = opened(vault, path="old", version="v1")
    found = store.fetch(
        [SecretRef("prod/db"), SecretRef("old/prod/db"), SecretRef("none"), SecretRef("prod/db", is_metadata=True)]
    )
    assert shown(found[0]) == shown(found[1]) == {"password": VALUE}
    assert isinstance(found[2], SecretNotFoundError) and "have no metadata" in str(found[3])
    assert list(store.find(SecretQuery("", "db", {}))) == ["prod/db"]


def test_secrets_are_found_by_name_path_and_metadata(vault: VaultServer) -> None:
    store = opened(vault)
    assert [name for name in store.find(SecretQuery("", "", {})) if "odd" not in name] == ["prod/db", "prod/web/front"]
    assert list(store.find(SecretQuery("prod", "front$", {}))) == ["prod/web/front"]
    assert list(store.find(SecretQuery("", "", {"team": "shop"}))) == ["prod/db"]
    assert store.find(SecretQuery("nothing", "", {})) == {}
    with pytest.raises(StoreError, match="not a Go regular expression"):
        store.find(SecretQuery("", "(", {}))


def test_every_available_vault_auth_method(vault: VaultServer) -> None:
    client = vault.client
    client.sys.create_or_update_policy("read", 'path "secret/*" { capabilities = ["read", "list"] }')
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("shop", token_policies=["read"])
    role = client.auth.approle.read_role_id("shop")["data"]["role_id"]
    CREDENTIALS["secret-id"] = client.auth.approle.generate_secret_id("shop")["data"]["secret_id"]
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("shop", "a-password", policies=["read"])
    CREDENTIALS["password"] = "a-password"
    ways: list[dict[str, Any]] = [
        {"tokenSecretRef": {"name": "token", "key": "token"}},
        {"appRole": {"path": "approle", "roleId": role, "secretRef": {"name": "secret-id"}}},
        {"userPass": {"username": "shop", "secretRef": {"name": "password"}}},
    ]
    for auth in ways:
        assert shown(opened(vault, auth).fetch([SecretRef("prod/db")])[0])["password"] == VALUE


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"appRole": {"roleId": "x", "secretRef": {"name": "wrong"}}}, "Vault refuses"),
        ({"userPass": {"username": "x", "secretRef": {"name": "wrong"}}}, "Vault refuses"),
        ({"jwt": {"role": "x", "secretRef": {"name": "wrong"}}}, "Vault denies access"),
        ({"tokenSecretRef": {"name": "none"}}, "which is missing"),
        ({"iam": {}}, "`spec.provider.vault.auth.iam` is not supported"),
        ({}, "names no method to sign in"),
        ({"appRole": {"roleId": "x"}}, "`spec.provider.vault.auth.appRole.secretRef` is missing"),
    ],
)
def test_unusable_credentials_are_reported(vault: VaultServer, auth: dict[str, Any], words: str) -> None:
    provider = {"server": vault.url, "path": "secret", "auth": auth}
    with pytest.raises((StoreError, FieldError)) as caught:
        registry.open_store({"spec": {"provider": {"vault": provider}}}, HELD)
    assert words in str(caught.value) and "no-such-token" not in str(caught.value)


def test_expired_or_unauthorized_token_is_reported(vault: VaultServer) -> None:
    [outcome] = opened(vault, {"tokenSecretRef": {"name": "wrong"}}).fetch([SecretRef("prod/db")])
    assert isinstance(outcome, StoreError) and not isinstance(outcome, SecretNotFoundError) and "403" in str(outcome)
    CREDENTIALS["short"] = vault.client.auth.token.create(ttl="1h", policies=["default"])["auth"]["client_token"]
    store = opened(vault, {"tokenSecretRef": {"name": "short"}})
    assert "403" in str(store.fetch([SecretRef("prod/db")])[0])
    vault.client.auth.token.revoke(CREDENTIALS["short"])
    with pytest.raises(StoreError, match="403"):
        store.find(SecretQuery("", "", {}))


def test_sealed_or_unreachable_vault_is_retried(tmp_path: Path) -> None:
    with vault_server.running(tmp_path) as found:
        store = opened(found)
        found.client.sys.seal()
        [outcome] = store.fetch([SecretRef("prod/db")])
        assert isinstance(outcome, StoreError) and outcome.is_transient and "is sealed" in str(outcome)
    # A store that lost its connection is not used again: it is opened anew.
    assert not store.renew_session()
    assert "is sealed" in str(store.fetch([SecretRef("prod/db")])[0])
    [outcome] = opened(found).fetch([SecretRef("prod/db")])
    assert isinstance(outcome, StoreError) and outcome.is_transient and "does not answer" in str(outcome)


def test_vault_certificate_must_be_signed_by_the_ca_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    with vault_server.running(tmp_path / "vault", tls=True) as found:
        found.client.secrets.kv.v2.create_or_update_secret("a", {"b": "c"})
        pem = (tmp_path / "vault" / "vault-ca.pem").read_bytes()
        before = set(Path(tempfile.gettempdir()).glob("gatekeeper-authority-*"))
        store = opened(found, caBundle=base64.b64encode(pem).decode())
        assert shown(store.fetch([SecretRef("a")])[0]) == {"b": "c"}
        store.close()
        [outcome] = opened(found).fetch([SecretRef("a")])
        assert isinstance(outcome, StoreError) and "is not trusted: check `caBundle`" in str(outcome)
        assert set(Path(tempfile.gettempdir()).glob("gatekeeper-authority-*")) == before


def test_unsupported_store_field_is_refused_by_name(vault: VaultServer) -> None:
    for provider, words in (
        ({"vault": {"server": vault.url, "checkAndSet": {}}}, "`spec.provider.vault.checkAndSet`"),
        ({"vault": {"server": vault.url, "caBundle": "!"}}, "`spec.provider.vault.caBundle` is not valid base64"),
        ({"akeyless": {}}, "`spec.provider.akeyless` is not supported; supported providers: vault"),
    ):
        with pytest.raises(FieldError) as caught:
            registry.open_store({"spec": {"provider": provider}}, HELD)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mount", "version", "key", "path"),
    [
        ("secret/path", "v2", "foo", "secret/path/data/foo"),
        ("secret/path", "v1", "foo", "secret/path/foo"),
        ("secret/path", "v2", "secret/path/foo", "secret/path/data/foo"),
        ("secret/path", "v2", "secret/path/data/foo", "secret/path/data/foo"),
        ("secret/path", "v1", "secret/path/foo", "secret/path/foo"),
        ("", "v2", "secret/path/foo", "secret/data/path/foo"),
        ("", "v2", "secret/path/data/foo", "secret/path/data/foo"),
        ("", "v1", "secret/path/foo", "secret/path/foo"),
    ],
)
def test_paths_are_joined_as_in_external_secrets(mount: str, version: str, key: str, path: str) -> None:
    assert VaultStore(VaultConfig("http://127.0.0.1", mount, version), VaultSession(None)).build_path(key) == path


@given(st.text("ab/", max_size=8), st.sampled_from(["", "kv", "kv/x"]), st.sampled_from(["v1", "v2"]))
def test_no_key_makes_a_path_a_fault(key: str, mount: str, version: str) -> None:
    assert isinstance(
        VaultStore(VaultConfig("http://127.0.0.1", mount, version), VaultSession(None)).build_path(key), str
    )


@needs("gotemplate")
def test_secrets_of_vault_are_synced_with_one_read_per_path(
    vault: VaultServer, repository: Repository, tmp_path: Path
) -> None:
    """As a user types it: stores sign in with a Secret of the cluster, and Vault itself counts what was read."""
    store = (
        "apiVersion: external-secrets.io/v1beta1\nkind: ClusterSecretStore\nmetadata: {name: vault-backend}\nspec:\n  provider:\n"
        f"    vault: {{server: '{vault.url}', path: secret, auth: {{tokenSecretRef: {{name: vault, key: token, namespace: prod}}}}}}\n"
    )
    one = (
        "---\napiVersion: external-secrets.io/v1alpha1\nkind: ExternalSecret\nmetadata: {{name: db{n}, namespace: prod}}\nspec:\n"
        "  secretStoreRef: {{name: vault-backend, kind: ClusterSecretStore}}\n"
        "  data: [{{secretKey: password, remoteRef: {{key: prod/db, property: password}}}}, {{secretKey: a, remoteRef: {{key: prod/db, property: nested.a}}}}]\n"
    )
    root = repository({"all.yaml": store + "".join(one.format(n=number) for number in range(20))})
    folder = tmp_path / "cluster"
    folder.mkdir()
    with servers.running(folder) as cluster:
        cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        run = ("sync", "--once", "--kubeconfig", cluster.kubeconfig, root)
        code, out, _ = command(*run)
        assert code == 1 and "needs `token` of the Secret prod/vault to sign in, which is missing" in out
        held = {"metadata": {"name": "vault"}, "data": {"token": base64.b64encode(TOKEN.encode()).decode()}}
        cluster.make("/api/v1/namespaces/prod/secrets", held)
        before = vault.requests("secret/data/prod/db")
        code, out, err = command(*run)
        assert (code, err) == (0, "") and out.count("created") == 20 and VALUE not in out and TOKEN not in out
        assert vault.requests("secret/data/prod/db") == before + 1
        made = cluster.ask("GET", "/api/v1/namespaces/prod/secrets/db7")[1]["data"]
        assert {key: base64.b64decode(text) for key, text in made.items()} == {"password": VALUE.encode(), "a": b"1"}
