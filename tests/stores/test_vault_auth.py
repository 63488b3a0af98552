"""Signing in to Vault as a SecretStore says; logins against a real Vault are in test_vault.py."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.stores import vault_auth
from gatekeeper.stores.protocol import StoreError, StoreRetryPolicy
from gatekeeper.stores.vault import VaultConfig
from tests.stores.static_credentials import Held

CONFIG = VaultConfig("http://127.0.0.1:9", namespace="team")


def sign_in(auth: dict[str, Any] | None, source: Held | None) -> Any:
    with closing(MemoryFiles()) as files:
        return vault_auth.sign_in(CONFIG, FieldReader(auth) if auth is not None else None, source, files).client


def test_token_of_a_secret_is_used_without_a_login() -> None:
    client = sign_in({"tokenSecretRef": {"name": "token"}}, Held({"token": "t\n"}))
    assert client.token == "t" and client.adapter.namespace == "team"
    assert client.session.trust_env is False and client.session.verify is True


def test_token_of_the_user_is_used_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(StoreError, match="no token for Vault: run `vault login`, or set VAULT_TOKEN"):
        sign_in(None, None)
    (tmp_path / ".vault-token").write_text("from-file\n")
    assert sign_in({}, None).token == "from-file"
    monkeypatch.setenv("VAULT_TOKEN", "from-env")
    assert sign_in(None, None).token == "from-env"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({"ldap": {}}, "`ldap` is not supported; supported methods: tokenSecretRef, appRole"),
        ({"tokenSecretRef": {"name": "t"}, "appRole": {}}, "`appRole` is not supported"),
        ({"appRole": {"roleId": "r"}}, "`appRole.secretRef` is missing"),
        ({"jwt": {"kubernetesServiceAccountToken": {}}}, "serviceAccountRef` is missing"),
        ({"kubernetes": {"role": "r"}}, "or `secretRef` is required: this process does not run in a Pod"),
        ({"cert": {}}, "`cert.clientCert` is missing"),
    ],
)
def test_invalid_auth_is_refused_by_field(auth: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as caught:
        sign_in(auth, Held({"t": "t"}))
    assert message in str(caught.value)


def test_auth_without_a_method_is_an_error() -> None:
    with pytest.raises(StoreError, match="names no method"):
        sign_in({}, Held({}))


@pytest.mark.parametrize(
    ("policy", "retries", "delay"),
    [
        (StoreRetryPolicy(), vault_auth.MAX_RETRIES, vault_auth.FIRST_RETRY_SECONDS),
        (StoreRetryPolicy(0, 2.5), 0, 2.5),
    ],
)
def test_retry_policy_of_the_store_is_used(policy: StoreRetryPolicy, retries: int, delay: float) -> None:
    retry = vault_auth._build_retry(policy)
    assert (retry.total, retry.backoff_factor) == (retries, delay)
