"""The status of a ClusterExternalSecret."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.externalsecrets.cluster_status import FAILURE_MESSAGE, build_status
from gatekeeper.model import NamespacedName

NAMESPACES: dict[str, dict[str, str]] = {name: {"team": "shop"} for name in ("a", "b", "c")}


def value(**spec: Any) -> dict[str, Any]:
    selector = {"namespaceSelector": {"matchLabels": {"team": "shop"}}, "externalSecretSpec": {}, **spec}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "all"},
        "spec": selector,
    }


def test_failed_namespace_makes_the_condition_false() -> None:
    reasons = {NamespacedName("a", "all"): "", NamespacedName("b", "all"): "no such secret"}
    assert build_status(value(), NAMESPACES, reasons) == {
        "externalSecretName": "all",
        "provisionedNamespaces": ["a"],
        "failedNamespaces": [{"namespace": "b", "reason": "no such secret"}],
        "conditions": [{"type": "Ready", "status": "False", "message": FAILURE_MESSAGE}],
    }


def test_namespaces_that_were_not_synced_yet_are_left_out() -> None:
    status = build_status(value(externalSecretName="db"), NAMESPACES, {NamespacedName("a", "db"): ""})
    assert (status["externalSecretName"], status["provisionedNamespaces"], status["failedNamespaces"]) == (
        "db",
        ["a"],
        None,
    )
    assert status["conditions"] == [{"type": "Ready", "status": "True", "message": ""}]


def test_invalid_object_has_the_error_as_its_message() -> None:
    [condition] = build_status(value(odd=1), NAMESPACES, {})["conditions"]
    assert condition["status"] == "False" and "`spec.odd`" in condition["message"]
