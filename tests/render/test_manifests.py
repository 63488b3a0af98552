"""Resources in files before any rendering: lists are expanded, files that configure programs are left out."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.render import manifests
from tests.engines.resources import parse_resources


def nest(depth: int) -> dict[str, object]:
    """A ConfigMap inside this many Lists."""
    if not depth:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "inner"}}
    return {"apiVersion": "v1", "kind": "List", "items": [nest(depth - 1)]}


def test_the_items_of_a_list_are_resources_with_their_own_place() -> None:
    text = """\
apiVersion: v1
kind: ConfigMapList
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
- no resource
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: b}
"""
    resources = parse_resources(text)
    assert [resource.ref.name for resource in resources] == ["a", "b"]
    assert resources[1].origin.find_location(("metadata", "name"))[:2] == ("a.yaml", 8)


def test_lists_are_expanded_to_a_limited_depth() -> None:
    inside = [
        resource.ref.kind for resource in parse_resources(orjson.dumps(nest(manifests.MAX_NESTED_LISTS)).decode())
    ]
    deeper = parse_resources(orjson.dumps(nest(manifests.MAX_NESTED_LISTS + 1)).decode())
    assert inside == ["ConfigMap"]
    assert [resource.ref.kind for resource in deeper] == ["List"], "what is too deep is judged as it stands"


@pytest.mark.parametrize(
    ("api_version", "kind", "is_config"),
    [
        ("v1", "Config", True),
        ("v1", "ConfigMap", False),
        ("kind.x-k8s.io/v1alpha4", "Cluster", True),
        ("skaffold/v4beta6", "Config", True),
        ("builtin", "PrefixTransformer", True),
        ("apps/v1", "Deployment", False),
        ("x.kind.x-k8s.io/v1", "Cluster", False),
    ],
)
def test_a_file_that_configures_a_program_has_no_resources(api_version: str, kind: str, is_config: bool) -> None:
    assert manifests.is_program_config(api_version, kind) is is_config
    found = parse_resources(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert (found == []) is is_config
