"""Faults of Vault: throttling, slow responses, cut connections, restarts, and expired tokens."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatekeeper.kube.decoder import FieldError
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import registry, vault_auth
from gatekeeper.stores import vault as vaults
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretRef, Store, StoreError
from tests.servers import faulty_proxy, vault_server
from tests.servers.faulty_proxy import Faults
from tests.servers.vault_server import TOKEN, VaultServer
from tests.stores.static_credentials import Held

VALUE = "hunter2-Zk9vQ1x7Lm3"
PAIR = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with vault_server.running(tmp_path_factory.mktemp("vault")) as found:
        for number in range(40):
            found.client.secrets.kv.v2.create_or_update_secret(f"a{number}", {"b": VALUE})
        found.client.sys.create_or_update_policy("read", 'path "secret/*" { capabilities = ["read", "list"] }')
        yield found


@pytest.fixture
def door(vault: VaultServer) -> Iterator[Faults]:
    with faulty_proxy.door(vault.url) as found:
        yield found


def opened(url: str, auth: Any = None, held: Held | None = None, **more: Any) -> Store:
    provider = {"server": url, "path": "secret", "auth": auth or {"tokenSecretRef": {"name": "token"}}, **more}
    return registry.open_store({"spec": {"provider": {"vault": provider}}}, held or Held({"token": TOKEN}))


def read(store: Store, key: str = "a1") -> FetchOutcome:
    [outcome] = store.fetch([SecretRef(key)])
    assert VALUE not in str(outcome) and TOKEN not in str(outcome)
    return outcome


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_short_failure_is_retried_once(door: Faults, status: int) -> None:
    store = opened(door.url)
    door.next = [status]
    assert isinstance(read(store), SecretBytes) and door.seen == 2
    door.next, door.seen = [status] * 9, 0
    outcome = read(store)
    assert isinstance(outcome, StoreError) and outcome.is_transient and door.seen == 3


def test_retry_after_is_followed_up_to_a_limit(door: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    store = opened(door.url)
    door.next, door.after = [429], "3"
    assert isinstance(read(store), SecretBytes) and waited == [3]
    door.next, door.after = [429], "86400"
    assert isinstance(read(store), SecretBytes) and waited[1:] == [vault_auth.MAX_RETRY_SECONDS]


@pytest.mark.parametrize(("settings", "seen"), [({"maxRetries": 0}, 1), ({"maxRetries": 1, "retryInterval": "1ms"}, 2)])
def test_the_store_may_say_how_often_it_is_tried(door: Faults, settings: dict[str, Any], seen: int) -> None:
    provider = {"server": door.url, "path": "secret", "auth": {"tokenSecretRef": {"name": "token"}}}
    spec = {"retrySettings": settings, "refreshInterval": 60, "provider": {"vault": provider}}
    store = registry.open_store({"spec": spec}, Held({"token": TOKEN}))
    door.next = [429] * 9
    assert isinstance(read(store), StoreError) and door.seen == seen
    with pytest.raises(FieldError, match=r"`spec.sharding` is not supported"):
        registry.open_store({"spec": {**spec, "sharding": {}}}, None)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut", "is incomplete or not JSON"),
        ("no JSON", "is incomplete or not JSON"),
        (500, "an internal error"),
        (503, "is sealed"),
        (400, "Vault refuses"),
    ],
)
def test_malformed_response_is_reported_and_has_no_value(door: Faults, fault: int | str, words: str) -> None:
    door.next = [fault] * 3
    outcome = read(opened(door.url))
    assert isinstance(outcome, StoreError) and not isinstance(outcome, SecretNotFoundError) and words in str(outcome)
    assert outcome.is_transient == (fault != 400)


@pytest.mark.parametrize("fault", ["slow", "reset"])
def test_timeout_of_a_store_is_not_repeated_for_each_secret(
    door: Faults, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(vault_auth, "TIMEOUT_SECONDS", 0.3)
    store = opened(door.url)
    door.next = [fault] * 200
    outcomes = store.fetch([SecretRef(f"a{number}") for number in range(40)])
    assert all(isinstance(one, StoreError) and one.is_transient for one in outcomes)
    # As many as are asked at a time, each again; and then nobody.
    assert door.seen <= vaults.CONCURRENT_REQUESTS * (vault_auth.MAX_RETRIES + 1)
    door.next = []
    assert not store.renew_session() and isinstance(read(opened(door.url)), SecretBytes)


def test_rephrased_message_does_not_change_the_location(door: Faults) -> None:
    door.next = [307]
    outcome = read(opened(door.url))
    assert isinstance(outcome, StoreError)


def test_token_is_renewed_without_a_new_login(vault: VaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = vault.client
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("shop", "a-password", policies=["read"])
    client.write("auth/userpass/users/shop", token_ttl="1h", token_max_ttl="2h", policies="read", password="a-password")
    auth = {"userPass": {"username": "shop", "secretRef": {"name": "password"}}}
    store = opened(vault.url, auth, Held({"password": "a-password"}))
    began = time.monotonic()
    renewals = vault.requests("auth/token/renew-self")
    assert store.renew_session() and vault.requests("auth/token/renew-self") == renewals
    monkeypatch.setattr(time, "monotonic", lambda: began + 3000)
    assert store.renew_session() and vault.requests("auth/token/renew-self") == renewals + 1
    assert isinstance(read(store), SecretBytes)
    assert vault.requests("auth/userpass/login/shop") == 1
    # One that was taken back cannot be renewed: then it is time to sign in anew.
    client.sys.revoke_prefix("auth/userpass")
    monkeypatch.setattr(time, "monotonic", lambda: began + 7000)
    assert not store.renew_session()
    outcome = read(store)
    assert isinstance(outcome, StoreError) and "403" in str(outcome)


def test_a_vault_that_was_restarted_and_unsealed_is_read_again(tmp_path: Path) -> None:
    with vault_server.kept(tmp_path) as kept:
        kept.client.secrets.kv.v2.create_or_update_secret("a1", {"b": VALUE})
        store = opened(kept.url, None, Held({"token": kept.client.token}))
        assert isinstance(read(store), SecretBytes)
        kept.stop()
        outcome = read(store)
        assert isinstance(outcome, StoreError) and outcome.is_transient and "does not answer" in str(outcome)
        kept.start()
        assert not store.renew_session()
        outcome = read(opened(kept.url, None, Held({"token": kept.client.token})))
        assert isinstance(outcome, StoreError) and outcome.is_transient and "sealed" in str(outcome)
        kept.unseal()
        assert isinstance(read(opened(kept.url, None, Held({"token": kept.client.token}))), SecretBytes)


def _certificate(name: str) -> tuple[str, str]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(PAIR.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(PAIR, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = PAIR.private_bytes(pem, form, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), key.decode()


def test_a_certificate_signs_in_and_its_key_is_on_no_disk(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    certificate, key = _certificate("shop")
    with vault_server.running(tmp_path / "vault", tls=True) as found:
        client = found.client
        client.secrets.kv.v2.create_or_update_secret("a1", {"b": VALUE})
        client.sys.create_or_update_policy("read", 'path "secret/*" { capabilities = ["read"] }')
        client.sys.enable_auth_method("cert")
        client.write("auth/cert/certs/shop", certificate=certificate, token_policies="read")
        bundle = base64.b64encode((tmp_path / "vault" / "vault-ca.pem").read_bytes()).decode()
        cert = {"clientCert": {"name": "crt"}, "secretRef": {"name": "key"}}
        held = Held({"crt": certificate, "key": key, "other": _certificate("other")[0]})
        before = set(Path("/dev/shm").iterdir())
        store = opened(found.url, {"cert": cert}, held, caBundle=bundle)
        assert isinstance(read(store), SecretBytes)
        [made] = set(Path("/dev/shm").glob("gatekeeper-store-*/secretRef")) - before
        assert made.stat().st_mode & 0o777 == 0o600
        store.close()
        assert set(Path("/dev/shm").iterdir()) == before
        cert["clientCert"]["name"] = "other"
        with pytest.raises(StoreError, match="Vault refuses"):
            opened(found.url, {"cert": cert}, held, caBundle=bundle)
        provided = {"type": "ConfigMap", "name": "ca", "key": "pem"}
        held.values |= {"ca": (tmp_path / "vault" / "vault-ca.pem").read_text(), "token": TOKEN}
        assert isinstance(read(opened(found.url, None, held, caProvider=provided)), SecretBytes)
        shown = {"certSecretRef": {"name": "crt"}, "keySecretRef": {"name": "key"}}
        assert isinstance(read(opened(found.url, None, held, caProvider=provided, tls=shown)), SecretBytes)
        assert set(Path("/dev/shm").glob("gatekeeper-store-*/keySecretRef"))


def test_headers_of_the_store_go_with_each_request(vault: VaultServer) -> None:
    client = vault.client
    client.adapter.put("/v1/sys/config/auditing/request-headers/X-Team", json={"hmac": False})
    assert isinstance(read(opened(vault.url, headers={"X-Team": "shop-42"}), "a7"), SecretBytes)
    lines = [orjson.loads(line) for line in vault.log.read_text().splitlines() if "secret/data/a7" in line]
    assert any(one["request"].get("headers", {}).get("x-team") == ["shop-42"] for one in lines)
