"""The name and the values of a HelmRelease."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from gatekeeper.model import Gap, Resource
from gatekeeper.render.appliers import build_cluster_resource
from gatekeeper.render.helm import release_values
from gatekeeper.upstream.helm_release import FluxValues


def build(kind: str, name: str, **fields: Any) -> Resource:
    version = "helm.toolkit.fluxcd.io/v2" if kind == "HelmRelease" else "v1"
    metadata = {"name": name, "namespace": "shop"}
    return build_cluster_resource({"apiVersion": version, "kind": kind, "metadata": metadata, **fields})


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("web", {}, "web"),
        ("web", {"targetNamespace": "prod"}, "prod-web"),
        ("web", {"targetNamespace": "prod", "releaseName": "shop"}, "shop"),
        ("w" * 53, {}, "w" * 53),
        # The first 40 characters, and 12 of the SHA-256 of the whole.
        ("w" * 54, {}, "w" * 40 + "-eb0ae3ae23fa"),
    ],
)
def test_the_name_of_the_release(name: str, spec: dict[str, Any], expected: str) -> None:
    assert release_values.get_release_name(build("HelmRelease", name, spec=spec)) == expected


def read(*entries: dict[str, Any]) -> tuple[FluxValues, list[Gap]]:
    objects = release_values.collect_values_objects(
        [
            build("ConfigMap", "a", data={"values.yaml": "n: 1", "other": "n: 2"}),
            build("Secret", "b", data={"values.yaml": base64.b64encode(b"n: 3").decode()}, stringData={"s": "text"}),
            build("Secret", "sealed", data={"values.yaml": "ENC[AES256_GCM,data:x]"}, sops={"mac": "x"}),
        ]
    )
    gaps: list[Gap] = []
    release = build("HelmRelease", "web", spec={"valuesFrom": list(entries), "values": {"n": 9}})
    return release_values.read_values(release, objects, gaps), gaps


def test_values_come_from_config_maps_and_secrets_in_order() -> None:
    values, gaps = read(
        {"kind": "Secret", "name": "b"},
        {"kind": "ConfigMap", "name": "a", "valuesKey": "other"},
        {"kind": "Secret", "name": "b", "valuesKey": "s", "targetPath": "x.y", "literal": True},
    )
    assert not gaps
    assert [(one.content, one.target_path, one.is_literal) for one in values.references] == [
        (b"n: 3", "", False),
        (b"n: 2", "", False),
        (b"text", "x.y", True),
    ]
    assert orjson.loads(values.inline) == {"n": 9}
    assert "n: 3" not in repr(values)


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "ConfigMap", "name": "missing"},
        {"kind": "ConfigMap", "name": "a", "valuesKey": "missing"},
        {"kind": "Secret", "name": "sealed"},
        {"kind": "Job", "name": "a"},
    ],
)
def test_values_that_are_not_readable_are_a_gap_unless_they_are_optional(entry: dict[str, Any]) -> None:
    values, gaps = read(entry)
    assert not values.references
    assert [gap.reason for gap in gaps] == [f"a HelmRelease: {release_values.UNKNOWN_VALUES_REASON}"]
    assert read({**entry, "optional": True})[1] == []
