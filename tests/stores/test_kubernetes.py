"""Secrets of a real cluster as a store, and its ServiceAccounts to sign in with: there, at Vault, and at AWS."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import boto3
import orjson
import pytest
import yaml

from gatekeeper.cluster import client as door
from gatekeeper.externalsecrets.target import value_transforms
from gatekeeper.kube.decoder import FieldError
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import registry
from gatekeeper.stores.cluster_credentials import ClusterCredentials
from gatekeeper.stores.protocol import (
    FetchOutcome,
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    Store,
    StoreError,
    StructuredSecret,
)
from tests.conftest import needs
from tests.servers import cluster as servers
from tests.servers import vault_server
from tests.servers.cluster import TOKEN, Cluster
from tests.stores.static_credentials import Held
from tests.stores.test_aws import REGION, moto

RAW = bytes(range(256))
KINDS = {"rb": "/apis/rbac.authorization.k8s.io/v1", "core": "/api/v1"}


def packed(**values: bytes) -> dict[str, str]:
    return {key.replace("__", "."): base64.b64encode(value).decode() for key, value in values.items()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for name in ("prod", "vault"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        data = packed(password=b"s3cr3t <&>", raw=RAW, file__json=b'{"a":{"b":[1,"x"]}}', conf=b'{"a":{"b":"deep"}}')
        meta = {"name": "db", "labels": {"team": "shop"}, "annotations": {"note": "n"}}
        found.make("/api/v1/namespaces/prod/secrets", {"metadata": meta, "data": data})
        found.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": "web"}, "data": packed(token=b"t")})
        found.make(
            "/api/v1/namespaces/vault/secrets", {"metadata": {"name": "t"}, "data": packed(token=TOKEN.encode())}
        )
        found.make("/api/v1/namespaces/vault/configmaps", {"metadata": {"name": "ca"}, "data": {"ca.crt": _ca(found)}})
        role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/shop"}
        for account, notes in (("shop", role), ("poor", {})):
            value = {"metadata": {"name": account, "annotations": notes}}
            found.make("/api/v1/namespaces/vault/serviceaccounts", value)
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
        found.make(f"{KINDS['rb']}/namespaces/prod/roles", {"metadata": {"name": "read"}, "rules": [rule]})
        subject = {"kind": "ServiceAccount", "name": "shop", "namespace": "vault"}
        _bind(found, f"{KINDS['rb']}/namespaces/prod/rolebindings", "Role", "read", subject)
        # Vault asks the cluster about a token with that token.
        _bind(found, f"{KINDS['rb']}/clusterrolebindings", "ClusterRole", "system:auth-delegator", subject)
        yield found


def _ca(cluster: Cluster) -> str:
    return cluster.certificate.read_text()


def _bind(cluster: Cluster, path: str, kind: str, name: str, subject: dict[str, str]) -> None:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    cluster.make(path, {"metadata": {"name": f"gatekeeper-{kind.lower()}"}, "roleRef": ref, "subjects": [subject]})


@pytest.fixture
def held(cluster: Cluster) -> Iterator[ClusterCredentials]:
    with door.connect(cluster.kubeconfig) as client:
        yield ClusterCredentials(client, "vault", False)


class Opens(Protocol):
    def __call__(self, auth: Any = None, **more: Any) -> Store: ...


@pytest.fixture
def opened(cluster: Cluster, held: ClusterCredentials) -> Iterator[Opens]:
    """Opens stores of the namespace `prod`, and closes them."""
    with ExitStack() as stack:

        def open_(auth: Any = None, **more: Any) -> Store:
            server = {"url": cluster.url, "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"}}
            auth = {"token": {"bearerToken": {"name": "t", "key": "token"}}} if auth is None else auth
            provider = {"remoteNamespace": "prod", "server": server, "auth": auth, **more}
            return stack.enter_context(
                closing(registry.open_store({"spec": {"provider": {"kubernetes": provider}}}, held))
            )

        yield open_


def shown(outcome: FetchOutcome) -> bytes:
    assert isinstance(outcome, SecretBytes), outcome
    return outcome.reveal()


@needs("gotemplate")
def test_secrets_of_another_namespace_are_read_with_whatever_they_hold(opened: Opens) -> None:
    store = opened()
    whole, notes, none, version = store.fetch(
        [SecretRef("db"), SecretRef("db", is_metadata=True), SecretRef("none"), SecretRef("db", version="1")]
    )
    assert isinstance(whole, StructuredSecret) and whole.parts["raw"].reveal() == RAW
    assert orjson.loads(shown(notes)) == {"annotations": {"note": "n"}, "labels": {"team": "shop"}}
    assert isinstance(none, SecretNotFoundError) and "no versions" in str(version) and store.request_count == 2
    paths = ["raw", "password", "file.json", "conf.a.b", "conf.none", "none", "file.json.a"]
    found = value_transforms.extract_parts([(whole, path) for path in paths])
    expected = [RAW, b"s3cr3t <&>", b'{"a":{"b":[1,"x"]}}', b"deep", None, None, None]
    assert [one.reveal() if one else None for one in found] == expected
    assert value_transforms.extract_values(whole)["raw"].reveal() == RAW
    store.close()


def test_secrets_are_found_by_name_and_label(opened: Opens) -> None:
    store = opened()
    assert list(store.find(SecretQuery("", "^(db|web)$", {}))) == ["db", "web"]
    assert list(store.find(SecretQuery("", "", {"team": "shop"}))) == ["db"]
    with pytest.raises(StoreError, match="Secrets have no paths"):
        store.find(SecretQuery("a", "", {}))


def test_a_secret_store_has_only_what_is_in_its_own_namespace(cluster: Cluster) -> None:
    with door.connect(cluster.kubeconfig) as client:
        bound, free = ClusterCredentials(client, "prod", True), ClusterCredentials(client, "", False)
        assert (
            bound.read_secret("prod", "web", "token") == free.read_secret("prod", "web", "token") == SecretBytes(b"t")
        )
        for ask in (
            lambda: bound.read_secret("vault", "t", "token"),
            lambda: bound.read_text("ConfigMap", "vault", "ca", "ca.crt"),
            lambda: bound.create_token("vault", "shop", [], 600),
            lambda: bound.read_annotations("vault", "shop"),
        ):
            with pytest.raises(StoreError, match="a SecretStore may use only its own namespace"):
                ask()
        with pytest.raises(StoreError, match="needs a namespace"):
            free.read_secret("", "t", "token")


def test_a_service_account_sees_what_it_may(opened: Opens) -> None:
    store = opened({"serviceAccount": {"name": "shop"}})
    assert isinstance(store.fetch([SecretRef("db")])[0], StructuredSecret)
    [refused] = opened({"serviceAccount": {"name": "poor"}}).fetch([SecretRef("db")])
    assert (
        isinstance(refused, StoreError)
        and "the cluster refuses (Forbidden)" in str(refused)
        and not refused.is_transient
    )


def test_a_kubeconfig_of_a_secret_reaches_for_nothing_outside(cluster: Cluster) -> None:
    bundle = base64.b64encode(_ca(cluster).encode()).decode()
    value: Any = yaml.safe_load(cluster.kubeconfig.read_text())
    [known] = value["clusters"]
    known["cluster"] = {"server": cluster.url, "certificate-authority-data": bundle}

    def read(user: Any) -> FetchOutcome:
        value["users"][0]["user"] = user
        provider = {"remoteNamespace": "prod", "authRef": {"name": "k", "key": "config"}}
        kept = Held({"k": yaml.safe_dump(value)})
        with closing(registry.open_store({"spec": {"provider": {"kubernetes": provider}}}, kept)) as store:
            return store.fetch([SecretRef("web")])[0]

    assert isinstance(read({"token": TOKEN}), StructuredSecret)
    for user in ({"exec": {"command": "id"}}, {"tokenFile": "/etc/passwd"}, {"client-key": "/etc/passwd"}):
        with pytest.raises(StoreError, match="must not name a program, a file or a proxy"):
            read(user)


def test_kubeconfig_from_a_secret_must_not_name_a_proxy() -> None:
    kubeconfig = {
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:9", "proxy-url": "http://127.0.0.1:8"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    secrets = Held({"k": yaml.safe_dump(kubeconfig)})
    store = {"spec": {"provider": {"kubernetes": {"authRef": {"name": "k", "key": "config"}}}}}
    with pytest.raises(StoreError, match="`proxy-url`"):
        registry.open_store(store, secrets)


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ({"auth": {}}, "`spec.provider.kubernetes.auth.token` or `serviceAccount` or `cert` is required"),
        ({"auth": {"token": {}}}, "bearerToken` is missing"),
        ({"auth": {"cert": {}}}, "clientCert` is missing"),
        ({"odd": 1}, "kubernetes.odd` is not supported"),
        ({"auth": {"serviceAccount": {"name": "none"}}}, "gives no ServiceAccount vault/none"),
        ({"auth": {"token": {"bearerToken": {"name": "x"}}}}, "of the Secret vault/x to sign in, which is missing"),
        ({"server": {"url": "https://127.0.0.1:9", "caBundle": "!"}}, "caBundle` is not valid base64"),
        ({"authRef": {"name": "t", "key": "token"}}, "is not a kubeconfig"),
        (
            {"server": {"url": "https://127.0.0.1:9", "caProvider": {"type": "ConfigMap", "name": "none"}}},
            "`ca.crt` of the ConfigMap vault/none, which is missing",
        ),
    ],
)
def test_missing_reference_of_a_store_is_reported(opened: Opens, provider: dict[str, Any], words: str) -> None:
    with pytest.raises((StoreError, FieldError)) as caught:
        opened(**provider)
    assert words in str(caught.value) and TOKEN not in str(caught.value)


def test_unreachable_cluster_is_retried(cluster: Cluster, opened: Opens) -> None:
    server = {"url": f"https://127.0.0.1:{servers.free_port()}"}
    [outcome] = opened(server=server).fetch([SecretRef("db")])
    assert isinstance(outcome, StoreError) and outcome.is_transient and "does not answer" in str(outcome)
    [name] = opened().fetch([SecretRef("../secrets")])
    assert "not a valid name of a Secret" in str(name)
    [outcome] = opened(server={"url": cluster.url}).fetch([SecretRef("db")])
    assert isinstance(outcome, StoreError) and TOKEN not in str(outcome)


def test_a_service_account_signs_in_to_vault(cluster: Cluster, held: ClusterCredentials, tmp_path: Path) -> None:
    with vault_server.running(tmp_path) as vault:
        client = vault.client
        client.secrets.kv.v2.create_or_update_secret("a", {"b": "c"})
        client.sys.create_or_update_policy("read", 'path "secret/*" { capabilities = ["read"] }')
        client.sys.enable_auth_method("kubernetes")
        client.auth.kubernetes.configure(cluster.url, kubernetes_ca_cert=_ca(cluster), disable_local_ca_jwt=True)
        client.auth.kubernetes.create_role("shop", "shop", "vault", policies=["read"], ttl="1h")
        client.sys.enable_auth_method("jwt")
        keys = cluster.ask("GET", "/openid/v1/jwks")[1]["keys"]
        client.auth.jwt.configure(jwt_validation_pubkeys=[_pem(keys[0])], bound_issuer="https://kubernetes.default.svc")
        client.auth.jwt.create_role(
            "shop",
            user_claim="sub",
            allowed_redirect_uris=[],
            role_type="jwt",
            bound_audiences=["vault"],
            token_policies=["read"],
            bound_subject="system:serviceaccount:vault:shop",
        )
        account = {"serviceAccountRef": {"name": "shop"}}
        for auth in (
            {"kubernetes": {"role": "shop", **account}},
            {"jwt": {"role": "shop", "kubernetesServiceAccountToken": account}},
        ):
            provider = {"server": vault.url, "path": "secret", "auth": auth}
            store = registry.open_store({"spec": {"provider": {"vault": provider}}}, held)
            assert orjson.loads(shown(store.fetch([SecretRef("a")])[0])) == {"b": "c"}
        for account in ({"serviceAccountRef": {"name": "poor"}}, {}):
            provider["auth"] = {"kubernetes": {"role": "shop", **account}}
            with pytest.raises((StoreError, FieldError), match=r"Vault (refuses|denies)|does not run in a Pod"):
                registry.open_store({"spec": {"provider": {"vault": provider}}}, held)


def _pem(key: dict[str, str]) -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(f"{text}=="), "big")

    public = RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_service_account_has_a_role_at_aws(
    cluster: Cluster, held: ClusterCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with moto() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "a-secret"}
        manager = boto3.client("secretsmanager", region_name=REGION, **keys)
        manager.create_secret(Name="a", SecretString="b")
        # There are no other keys: what the role lends is what is shown.
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        provider: dict[str, Any] = {"service": "SecretsManager", "region": REGION}
        provider["auth"] = {"jwt": {"serviceAccountRef": {"name": "shop"}}}
        store = registry.open_store({"spec": {"provider": {"aws": provider}}}, held)
        assert shown(store.fetch([SecretRef("a")])[0]) == b"b" and store.renew_session()
        provider["auth"] = {"jwt": {"serviceAccountRef": {"name": "poor"}}}
        with pytest.raises(StoreError, match="has no annotation"):
            registry.open_store({"spec": {"provider": {"aws": provider}}}, held)
