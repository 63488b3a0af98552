"""The Namespace of the sync option `CreateNamespace`."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.argocd.sync.namespace_creation import build_namespaces


def application(namespace: str = "shop", **policy: Any) -> dict[str, Any]:
    return {"spec": {"destination": {"namespace": namespace}, "syncPolicy": policy}}


def test_the_namespace_has_its_managed_metadata() -> None:
    managed = {"labels": {"a": "b"}, "annotations": {}}
    value = application(syncOptions=["CreateNamespace=true"], managedNamespaceMetadata=managed)
    assert build_namespaces(value, []) == [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}
    ]


@pytest.mark.parametrize(
    "value",
    [
        application(),
        application(syncOptions=["CreateNamespace=false"]),
        application("", syncOptions=["CreateNamespace=true"]),
        {"spec": {"destination": {}, "syncPolicy": None}},
    ],
)
def test_no_namespace_without_the_option_or_a_name(value: dict[str, Any]) -> None:
    assert build_namespaces(value, []) == []


def test_an_application_that_applies_its_namespace_gets_no_other() -> None:
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    assert build_namespaces(application(syncOptions=["CreateNamespace=true"]), [own]) == []
