"""The contract of `Store`, tried on every provider against its real server."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import registry
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.protocol import (
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    Store,
    StoreError,
    compile_name_pattern,
    encode_go_json,
)
from tests.servers import cluster as cluster_server
from tests.servers import vault_server
from tests.stores.static_credentials import Held
from tests.stores.test_aws import KEYS, REGION, moto

VALUE = "hunter2-Zk9vQ1x7Lm3"
CONTENT = {name: f'{{"password":"{VALUE}-{name}"}}' for name in ("one", "two")}


def open_provider(provider: str, fields: dict[str, Any], **credentials: str) -> Store:
    return registry.open_store({"spec": {"provider": {provider: fields}}}, Held(credentials))


def open_vault(folder: Path, stack: ExitStack) -> Store:
    vault = stack.enter_context(vault_server.running(folder))
    for name in CONTENT:
        vault.client.secrets.kv.v2.create_or_update_secret(name, {"password": f"{VALUE}-{name}"})
    auth = {"tokenSecretRef": {"name": "token"}}
    return open_provider("vault", {"server": vault.url, "path": "secret", "auth": auth}, token=vault_server.TOKEN)


def open_aws(service: str, stack: ExitStack) -> Store:
    environment = stack.enter_context(pytest.MonkeyPatch.context())
    url = stack.enter_context(moto())
    environment.setenv("AWS_ENDPOINT_URL", url)
    for name, text in CONTENT.items():
        if service == "SecretsManager":
            manager = boto3.client("secretsmanager", region_name=REGION, endpoint_url=url, **KEYS)
            manager.create_secret(Name=name, SecretString=text)
        else:
            parameters = boto3.client("ssm", region_name=REGION, endpoint_url=url, **KEYS)
            parameters.put_parameter(Name=name, Value=text, Type="SecureString")
    keys = {"accessKeyIDSecretRef": {"name": "id"}, "secretAccessKeySecretRef": {"name": "key"}}
    return open_provider("aws", {"service": service, "region": REGION, "auth": {"secretRef": keys}}, id="A", key="k")


def open_kubernetes(folder: Path, stack: ExitStack) -> Store:
    cluster = stack.enter_context(cluster_server.running(folder))
    cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
    for name in CONTENT:
        data = {"password": base64.b64encode(f"{VALUE}-{name}".encode()).decode()}
        cluster.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": name}, "data": data})
    authority = base64.b64encode(cluster.certificate.read_bytes()).decode()
    fields = {
        "remoteNamespace": "prod",
        "server": {"url": cluster.url, "caBundle": authority},
        "auth": {"token": {"bearerToken": {"name": "token"}}},
    }
    return open_provider("kubernetes", fields, token=cluster_server.TOKEN)


def open_directory(folder: Path, stack: ExitStack) -> Store:
    for name, text in CONTENT.items():
        (folder / f"{name}.json").write_text(text)
    return DirectoryStore(folder)


# How each provider is opened with the secrets of `CONTENT`.
PROVIDERS: dict[str, Callable[[Path, ExitStack], Store]] = {
    "vault": open_vault,
    "aws SecretsManager": lambda folder, stack: open_aws("SecretsManager", stack),
    "aws ParameterStore": lambda folder, stack: open_aws("ParameterStore", stack),
    "kubernetes": open_kubernetes,
    "directory": open_directory,
}


def test_contract_covers_every_provider() -> None:
    assert {name.split()[0] for name in PROVIDERS} == {*registry.PROVIDERS, "directory"}


@pytest.fixture(scope="module", params=PROVIDERS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
    with ExitStack() as stack:
        yield stack.enter_context(closing(PROVIDERS[request.param](folder, stack)))


def test_outcomes_come_in_order_and_a_missing_secret_fails_alone(store: Store) -> None:
    before = store.request_count
    names = ["none", "one", "two", "one"]
    missing, *values = store.fetch([SecretRef(name) for name in names])
    assert isinstance(missing, SecretNotFoundError) and not missing.is_store_wide and "`none`" in str(missing)
    assert [value.reveal().decode() for value in values if isinstance(value, SecretBytes)] == [
        CONTENT[name] for name in names[1:]
    ]
    assert VALUE not in f"{values!r} {missing}"
    assert store.request_count > before and store.renew_session() and store.fetch([]) == []


def test_search_returns_exactly_the_names_that_match(store: Store) -> None:
    found = store.find(SecretQuery("", "^on.$", {}))
    assert {name: value.reveal().decode() for name, value in found.items()} == {"one": CONTENT["one"]}
    assert {*store.find(SecretQuery("", "", {}))} >= {"one", "two"}
    assert store.find(SecretQuery("", "no-such-name", {})) == {}
    with pytest.raises(StoreError, match="is not a Go regular expression"):
        store.find(SecretQuery("", "(", {}))


def test_key_cannot_lead_out_of_the_store(store: Store) -> None:
    for outcome in store.fetch([SecretRef("../one"), SecretRef("x/../../one")]):
        assert isinstance(outcome, StoreError)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_json_is_encoded_as_go_does(value: dict[str, Any]) -> None:
    encoded = encode_go_json(value)
    assert not re.search(rb"[<>&]", encoded) and b"\xe2\x80\xa8" not in encoded
    assert list(value) == [] or encoded.startswith(b'{"')
    assert encode_go_json({"b": "<&>\u2028", "a": None}) == b'{"a":null,"b":"\\u003c\\u0026\\u003e\\u2028"}'


def test_name_pattern_is_not_anchored() -> None:
    assert compile_name_pattern("b+").search("abbc") and not compile_name_pattern("^b").search("ab")


def test_secret_ref_is_shown_without_its_value() -> None:
    assert str(SecretRef("a", "2", True)) == "the metadata of `a` (version 2)" and str(SecretRef("a")) == "`a`"
