"""The credentials that a SecretStore names."""

from __future__ import annotations

import base64
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import ServiceAccountRef
from gatekeeper.stores.protocol import StoreError
from tests.stores.static_credentials import Held

SOURCE = Held({"login": " s3cr3t \n", "cert": "CERT", "key": "KEY"})


def test_selector_is_read_and_its_text_is_stripped() -> None:
    assert credentials.read_secret_text(FieldReader({"name": "login", "key": "k"}), SOURCE) == "s3cr3t"
    assert credentials.read_secret(FieldReader({"name": "login"}), SOURCE).reveal() == b" s3cr3t \n"
    with pytest.raises(FieldError, match="odd"):
        credentials.read_secret(FieldReader({"name": "login", "odd": 1}), SOURCE)


def test_binary_credential_is_refused_without_its_value() -> None:
    class Binary(Held):
        def read_secret(self, namespace: str, name: str, key: str) -> Any:
            return super().read_secret(namespace, name, key).__class__(b"\xff-s3cr3t")

    with pytest.raises(StoreError, match="is not UTF-8 text") as caught:
        credentials.read_secret_text(FieldReader({"name": "login"}), Binary(SOURCE.values))
    assert "s3cr3t" not in str(caught.value)


def test_service_account_selector_is_parsed() -> None:
    fields = FieldReader({"name": "shop", "namespace": "prod", "audiences": ["a", "b"]})
    assert credentials.parse_service_account(fields) == ServiceAccountRef("prod", "shop", ("a", "b"))


def test_ca_bundle_wins_over_a_provider_and_a_provider_needs_a_cluster() -> None:
    provider = {"type": "Secret", "name": "cert"}
    bundle = base64.b64encode(b"PEM").decode()
    assert credentials.read_ca_bundle(FieldReader({"caBundle": bundle, "caProvider": provider}), None) == b"PEM"
    assert credentials.read_ca_bundle(FieldReader({"caProvider": provider}), SOURCE) == b"CERT"
    assert credentials.read_ca_bundle(FieldReader({}), SOURCE) == b""
    with pytest.raises(StoreError, match="in the Secret cert of the cluster: give --kubeconfig"):
        credentials.read_ca_bundle(FieldReader({"caProvider": provider}), None)
    with pytest.raises(FieldError, match="caBundle` is not valid base64"):
        credentials.read_ca_bundle(FieldReader({"caBundle": "!"}), SOURCE)


def test_key_pair_exists_while_the_files_are_open() -> None:
    with closing(MemoryFiles()) as files:
        fields = FieldReader({"a": {"name": "cert"}, "b": {"name": "key"}})
        paths = [Path(path) for path in credentials.put_key_pair(fields, ("a", "b"), SOURCE, files)]
        assert [path.read_text() for path in paths] == ["CERT", "KEY"]
        with pytest.raises(FieldError, match="`c` is missing"):
            credentials.put_key_pair(FieldReader({"b": {"name": "key"}}), ("c", "b"), SOURCE, files)
    assert not any(path.exists() for path in paths)
