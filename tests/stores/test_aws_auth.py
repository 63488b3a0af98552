"""Signing in to AWS as a SecretStore says."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.stores import aws_auth
from gatekeeper.stores.aws_errors import AwsClient
from gatekeeper.stores.protocol import StoreError, StoreRetryPolicy
from tests.stores.static_credentials import Held
from tests.stores.test_aws import REGION, moto

ROLE = "arn:aws:iam::123456789012:role/shop"
KEYS = {"accessKeyIDSecretRef": {"name": "id"}, "secretAccessKeySecretRef": {"name": "key"}}


def create(fields: dict[str, Any], source: Held | None) -> AwsClient:
    return aws_auth.create_client("ssm", FieldReader({"region": REGION, **fields}), source, StoreRetryPolicy())


def test_credentials_of_a_role_expire_and_those_of_a_user_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Held({"id": "AKIAEXAMPLE", "key": "k"})
    with moto() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        clients = [
            create({"auth": {"secretRef": KEYS}}, source),
            create({"auth": {"secretRef": KEYS}, "role": ROLE}, source),
        ]
        assert [client.renew_session() for client in clients] == [True, True]
        monkeypatch.setattr("time.monotonic", lambda: float("inf"))
        assert [client.renew_session() for client in clients] == [True, False]


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({"secretRef": {"accessKeyIDSecretRef": {"name": "id"}}}, "secretAccessKeySecretRef` is missing"),
        ({"jwt": {}}, "serviceAccountRef` is missing"),
        ({"odd": {}}, "odd` is not supported"),
        ({"secretRef": {**KEYS, "odd": {}}}, "odd` is not supported"),
    ],
)
def test_invalid_auth_is_refused_by_field(auth: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as caught:
        create({"auth": auth}, Held({"id": "i", "key": "k"}))
    assert message in str(caught.value)


def test_service_account_without_a_role_is_an_error() -> None:
    auth = {"jwt": {"serviceAccountRef": {"name": "shop"}}}
    with pytest.raises(StoreError, match=f"the ServiceAccount shop has no annotation {aws_auth.ROLE_ANNOTATION}"):
        create({"auth": auth}, Held({"shop": "token"}))
