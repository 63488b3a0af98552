"""Which fields of which objects may differ, as a Kustomization says it."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.flux import ignore_rules
from gatekeeper.kube.decoder import FieldError, FieldReader

METADATA = {"name": "web-1", "namespace": "prod", "labels": {"app": "web", "tier": ""}, "annotations": {"by": "x"}}
VALUE = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": METADATA, "spec": {"replicas": 1}}


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        (None, True),
        ({}, True),
        ({"kind": "Deployment"}, True),
        ({"kind": "Deploy"}, False),
        ({"name": "web-.*"}, True),
        ({"name": "web"}, False),
        ({"group": "apps", "version": "v1"}, True),
        ({"namespace": "dev|prod"}, True),
        ({"labelSelector": "app=web"}, True),
        ({"labelSelector": "app==web,tier"}, True),
        ({"labelSelector": "app!=web"}, False),
        ({"labelSelector": "!app"}, False),
        ({"labelSelector": "!other, app"}, True),
        ({"annotationSelector": "by=x"}, True),
        ({"annotationSelector": "app=web"}, False),
    ],
)
def test_a_rule_is_about_what_fits_its_target(target: dict[str, str] | None, fits: bool) -> None:
    held: dict[str, Any] = {"paths": ["/spec/replicas"], **({"target": target} if target is not None else {})}
    rule = ignore_rules.parse_ignore_rule(FieldReader(held))
    assert ignore_rules.list_pointers(VALUE, [rule]) == (["/spec/replicas"] if fits else [])


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"paths": "/a"}, "must be a list of strings"),
        ({"paths": [], "target": {"name": "("}}, "not a regular expression"),
        ({"paths": [], "target": {"labelSelector": "a in (b)"}}, "separated by commas"),
        ({"paths": [], "target": {"uid": "x"}}, "is not supported"),
        ({"jq": "x"}, "is not supported"),
    ],
)
def test_invalid_rule_is_reported(held: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        ignore_rules.parse_ignore_rule(FieldReader(held))
