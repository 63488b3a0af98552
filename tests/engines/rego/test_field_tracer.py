"""Rego that knows nothing of lines gets the line of the cause, of what is only missing, or at least of what it read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation, loader, query_plan
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.model import FieldPath, Gap, Location, ObjectRef, Resource
from tests.conftest import needs

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "shop", "namespace": "prod", "labels": {"app": "shop"}},
    "spec": {
        "replicas": 1,
        "hostNetwork": True,
        "containers": [
            {"name": "side", "image": "side:1.0", "ports": [{"containerPort": 80}]},
            {"name": "web", "image": "web:latest", "env": [{"name": "MODE", "value": "debug"}]},
        ],
    },
}
RULES: list[tuple[str, FieldPath | None]] = [
    (
        'some c in input.spec.containers; endswith(c.image, ":latest"); msg := sprintf("%s is latest", [c.name])',
        ("spec", "containers", 1, "image"),
    ),
    (
        'some c in input.spec.containers; endswith(c.image, ":latest"); msg := sprintf("%s: %s", [c.name, c.image])',
        ("spec", "containers", 1, "image"),
    ),
    (
        'input.spec.replicas < 2; msg := sprintf("%s in %s: one", [input.metadata.name, input.metadata.namespace])',
        ("spec", "replicas"),
    ),
    ('input.spec.hostNetwork; msg := sprintf("%s: host", [input.metadata.name])', ("spec", "hostNetwork")),
    (
        'not input.metadata.labels.team; msg := sprintf("%s has no team", [input.metadata.name])',
        ("metadata", "labels", "team"),
    ),
    ('not input.metadata.annotations.owner; msg := "no owner"', ("metadata", "annotations", "owner")),
    (
        'some c in input.spec.containers; some e in c.env; e.value == "debug"; msg := sprintf("%s of %s", [e.name, c.name])',
        ("spec", "containers", 1, "env", 0, "value"),
    ),
    (
        'some i; input.spec.containers[i].ports[_].containerPort < 1024; msg := "low port"',
        ("spec", "containers", 0, "ports", 0, "containerPort"),
    ),
    ('input.kind == "Pod"; msg := "naked"', None),
]


class Nowhere:
    """An origin without a file: only the path matters here."""

    file = "a.yaml"

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        return Location(self.file)


def traced(rule: str, engine: str) -> list[FieldPath | None]:
    text = f"package main\nimport rego.v1\ndeny contains msg if {{ {rule} }}\n"
    own = PolicySet((loader.parse_module(text, "main.rego"),), {})
    config = Config(library="off", engine=engine)
    plan = query_plan.build_plan(config, own)
    running = evaluation.start_engine(config, plan, 1)
    resource = Resource(ObjectRef("v1", "Pod", "prod", "shop"), orjson.dumps(POD), Nowhere())
    try:
        findings, gaps = evaluation.evaluate_resources([resource], plan, running)
    finally:
        running.close()
    assert list[Gap](gaps) == []
    return [finding.field_path for finding in findings]


@pytest.mark.parametrize(("rule", "path"), RULES, ids=[str(path) for _, path in RULES])
def test_the_cause_is_found(rule: str, path: FieldPath | None) -> None:
    assert traced(rule, "embedded") == [path]


@needs("opa")
def test_opa_findings_are_traced_to_the_same_fields() -> None:
    assert [traced(rule, "opa") for rule, _ in RULES] == [[path] for _, path in RULES]


def test_each_of_several_findings_gets_its_own_place() -> None:
    rule = 'some c in input.spec.containers; not c.resources; msg := sprintf("%s asks for nothing", [c.name])'
    assert traced(rule, "embedded") == [("spec", "containers", 0), ("spec", "containers", 1)]
