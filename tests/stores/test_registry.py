"""Opening the store that a SecretStore describes."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.kube.decoder import FieldError
from gatekeeper.stores import registry
from gatekeeper.stores.protocol import StoreError
from tests.stores.static_credentials import Held

VAULT = {"server": "http://127.0.0.1:9", "auth": {"tokenSecretRef": {"name": "token"}}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "`spec` has no `provider`"),
        (
            {"provider": {"gitlab": {}}},
            "`spec.provider.gitlab` is not supported; supported providers: vault, aws, kube",
        ),
        ({"provider": {"vault": {**VAULT, "odd": 1}}}, "`spec.provider.vault.odd` is not supported"),
        ({"provider": {"vault": VAULT}, "controller": "other"}, "`spec.controller` names another controller"),
        ({"provider": {"vault": VAULT}, "odd": 1}, "`spec.odd` is not supported"),
        ({"provider": {"vault": VAULT}, "retrySettings": {"odd": 1}}, "`spec.retrySettings.odd` is not supported"),
        ({"provider": {"aws": {"region": "r", "service": "S3"}}}, "`spec.provider.aws.service`"),
        ({"provider": {"vault": {**VAULT, "tls": {}}}}, "`spec.provider.vault.tls.certSecretRef` is missing"),
    ],
)
def test_unsupported_field_is_refused_by_name(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as caught:
        registry.open_store({"spec": spec}, Held({"token": "t"}))
    assert message in str(caught.value)


def test_store_without_a_provider_and_credentials_without_a_cluster_are_errors() -> None:
    with pytest.raises(StoreError, match="names no provider"):
        registry.open_store({"spec": {"provider": {}}}, None)
    with pytest.raises(StoreError, match="--kubeconfig is needed to read the store's credentials"):
        registry.open_store({"spec": {"provider": {"kubernetes": {"auth": {}}}}}, None)
    with pytest.raises(StoreError, match=r"client certificate \(`tls`\) is in a Secret of the cluster"):
        registry.open_store({"spec": {"provider": {"vault": {**VAULT, "tls": {}}}}}, None)


def test_fields_for_external_secrets_alone_are_accepted() -> None:
    provider = {"vault": {**VAULT, "forwardInconsistent": True, "readYourWrites": True, "version": "v1"}}
    spec = {"provider": provider, "controller": "default", "refreshInterval": 5, "conditions": [{"namespaces": ["a"]}]}
    store = registry.open_store({"spec": spec}, Held({"token": "t"}))
    assert store.request_count == 0 and store.renew_session()
    store.close()
