"""The order in which objects are applied."""

from __future__ import annotations

import random
from typing import Any

from gatekeeper.apply import order


def one(
    kind: str, name: str = "a", namespace: str = "", api: str = "v1", *, more: Any = None, **metadata: Any
) -> dict[str, Any]:
    space = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **space, **metadata, **(more or {})}}


def test_kinds_have_the_order_and_stages_of_flux() -> None:
    kinds = [
        "CustomResourceDefinition",
        "Namespace",
        "ClusterRole",
        "StorageClass",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "Service",
        "Deployment",
        "CronJob",
        "Job",
        "Pod",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ]
    objects = [one(kind) for kind in kinds]
    random.Random(1).shuffle(objects)
    assert [value["kind"] for value in order.sort_objects(objects)] == kinds
    stages = [[value["kind"] for value in stage] for stage in order.split_stages(objects)]
    assert stages == [kinds[:3], ["StorageClass"], kinds[4:]]
    same = [one("ConfigMap", name, space) for space in ("b", "a") for name in ("y", "x")]
    names = [(value["metadata"]["namespace"], value["metadata"]["name"]) for value in order.sort_objects(same)]
    assert names == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
