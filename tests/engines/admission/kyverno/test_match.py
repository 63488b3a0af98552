"""Selection of resources by Kyverno rules."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno import match
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.errors import PolicyError
from gatekeeper.model import ObjectRef
from tests.engines.resources import build_resource

POD = build_resource(
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "prod", "labels": {"app": "web"}}}
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Pod", True),
        ("v1/Pod", True),
        ("*", True),
        ("P*", True),
        ("apps/v1/Pod", False),
        ("*/v1/Pod", True),
        ("v2/Pod", False),
        ("Pod/exec", False),
        ("Deployment", False),
    ],
)
def test_kinds_have_many_forms(pattern: str, expected: bool) -> None:
    assert match.is_kind(pattern, ObjectRef("v1", "Pod", "a", "b")) is expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"any": [{"resources": {"kinds": ["Pod"]}}]}, True),
        ({"any": [{"resources": {"kinds": ["Service"]}}, {"resources": {"names": ["web-*"]}}]}, True),
        ({"all": [{"resources": {"kinds": ["Pod"]}}, {"resources": {"namespaces": ["test"]}}]}, False),
        ({"resources": {"selector": {"matchLabels": {"app": "w*"}}}}, True),
        ({"resources": {"selector": {"matchLabels": {"app": "api"}}}}, False),
        ({"resources": {"operations": ["DELETE"]}}, False),
        ({}, False),
    ],
)
def test_blocks_select_resources(block: dict[str, object], expected: bool) -> None:
    assert match.is_match(block, POD, POD.ref, NamespaceIndex([])) is expected


def test_a_match_by_user_is_refused_and_an_exclude_by_user_does_not_hold() -> None:
    block = {"any": [{"subjects": [{"kind": "User", "name": "admin"}]}]}
    with pytest.raises(PolicyError, match="known only in the cluster"):
        match.is_match(block, POD, POD.ref, NamespaceIndex([]))
    assert not match.is_match(block, POD, POD.ref, NamespaceIndex([]), is_exclude=True)


@pytest.mark.parametrize("block", [[], {"some": []}, {"resources": {"kind": ["Pod"]}}, {"any": ["Pod"]}])
def test_a_malformed_block_is_refused(block: object) -> None:
    with pytest.raises(PolicyError):
        match.is_match(block, POD, POD.ref, NamespaceIndex([]))


@pytest.mark.parametrize(
    ("kinds", "annotations", "expected"),
    [
        (["Pod"], {}, set(match.POD_CONTROLLERS)),
        (["Pod"], {match.AUTOGEN_ANNOTATION: "none"}, set()),
        (["Pod"], {match.AUTOGEN_ANNOTATION: "Job, Unknown"}, {"Job"}),
        (["Pod", "Service"], {}, set()),
    ],
)
def test_list_pod_controllers(kinds: list[str], annotations: dict[str, str], expected: set[str]) -> None:
    rule = {"match": {"any": [{"resources": {"kinds": kinds}}]}}
    assert set(match.list_pod_controllers(rule, annotations)) == expected
