"""Facts that findings on other resources depend on."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.references import exported_facts
from tests.engines.resources import build_resource


def deployment(image: str = "web:1", app: str = "web", argument: str = "x") -> dict[str, Any]:
    container = {"name": "c", "image": image, "args": [argument]}
    template = {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}
    metadata = {"name": "web", "namespace": "prod"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        (deployment(image="web:2"), True),
        (deployment(argument="y"), True),
        (deployment(app="api"), False),
        (deployment(argument="--map=prod/settings"), False),
    ],
)
def test_only_changes_that_others_can_see_change_the_facts(changed: dict[str, Any], is_same: bool) -> None:
    before, after = (
        exported_facts.describe_exports(build_resource(value), {b"settings"}) for value in (deployment(), changed)
    )
    assert (before == after) == is_same


def test_custom_kinds_are_not_self_contained() -> None:
    assert exported_facts.is_self_contained(build_resource(deployment()))
    custom = {"apiVersion": "x.io/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    assert not exported_facts.is_self_contained(build_resource(custom))
