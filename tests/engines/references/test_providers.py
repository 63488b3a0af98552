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


@pytest.mark.parametrize(
    ("annotation", "value", "creates"),
    [
        ("cert-manager.io/cluster-issuer", "letsencrypt", True),
        ("cert-manager.io/issuer", "letsencrypt", True),
        ("kubernetes.io/tls-acme", "true", True),
        ("kubernetes.io/tls-acme", "false", False),
        ("cert-manager.io/duration", "1h", False),
    ],
)
def test_cert_manager_creates_the_secrets_of_an_object_with_an_issuer(
    annotation: str, value: str, creates: bool
) -> None:
    ingress = build("Ingress", spec={"tls": [{"secretName": "tls"}]})
    references = [{"name": "tls"}, {"name": "other", "namespace": "other"}]
    gateway = build("Gateway", spec={"listeners": [{"tls": {"certificateRefs": references}}, "broken"]})
    gateway["apiVersion"] = "gateway.networking.k8s.io/v1"
    for one in (ingress, gateway):
        one["metadata"]["annotations"] = {annotation: value}
        _, *created = find_provided(build_resource(one))
        assert created == ([ProvidedObject("Secret", "ns", "tls")] if creates else [])


def test_a_trust_bundle_creates_its_target_in_any_namespace() -> None:
    bundle = build("Bundle", spec={"target": {"configMap": {"key": "ca.pem"}}})
    assert len(list(find_provided(build_resource(bundle)))) == 1, "a Bundle of another API group"
    bundle["apiVersion"] = "trust.cert-manager.io/v1alpha1"
    _, created = find_provided(build_resource(bundle))
    assert created == ProvidedObject("ConfigMap", "", "a")
