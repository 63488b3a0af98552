"""Objects that single resources provide, with their keys."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.references.providers import ProvidedObject, find_provided
from tests.engines.resources import build_resource


def build(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "a", "namespace": "ns"}, **fields}


@pytest.mark.parametrize(
    ("value", "created"),
    [
        (build("SealedSecret", spec={"encryptedData": {"k": "x"}}), [ProvidedObject("Secret", "ns", "a", frozenset("k"))]),
        (
            build("ExternalSecret", spec={"target": {"name": "t"}, "data": [{"secretKey": "k"}]}),
            [ProvidedObject("Secret", "ns", "t", frozenset("k"))],
        ),
        (build("ExternalSecret", spec={"dataFrom": [{}]}), [ProvidedObject("Secret", "ns", "a")]),
        (build("ClusterExternalSecret", spec={}), [ProvidedObject("Secret", "", "a")]),
        (build("Certificate", spec={"secretName": "tls"}), [ProvidedObject("Secret", "ns", "tls")]),
        (build("Certificate", spec="broken"), []),
        (build("Ingress", spec={"tls": [{"secretName": "tls"}]}), []),
    ],
)  # fmt: skip
def test_controllers_create_objects(value: dict[str, Any], created: list[ProvidedObject]) -> None:
    own, *others = find_provided(build_resource(value))
    assert (own.kind, own.name) == (value["kind"], "a") and others == created


def test_the_keys_of_a_secret_are_those_of_all_its_sections() -> None:
    secret = build("Secret", data={"a": "eA=="}, stringData={"b": "x"})
    [own] = find_provided(build_resource(secret))
    assert own.keys == frozenset("ab")


def test_cert_manager_creates_the_secrets_of_an_annotated_ingress() -> None:
    ingress = build("Ingress", spec={"tls": [{"secretName": "tls"}]})
    ingress["metadata"]["annotations"] = {"cert-manager.io/cluster-issuer": "letsencrypt"}
    assert [one.name for one in find_provided(build_resource(ingress))] == ["a", "tls"]
