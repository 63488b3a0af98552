"""Served API versions of built-in kinds, and of custom kinds."""

from __future__ import annotations

import pytest

from gatekeeper.engines.schema.served_versions import list_served_versions
from tests.conftest import Repository, judge
from tests.engines.schema.test_validation import CRD, SHOP

FLOW_CONTROL = "flowcontrol.apiserver.k8s.io"


@pytest.mark.parametrize(
    ("kubernetes", "served"), [("1.28", ["v1beta3", "v1beta2"]), ("1.31", ["v1", "v1beta3"]), ("1.36", ["v1"])]
)
def test_served_versions_depend_on_the_cluster(kubernetes: str, served: list[str]) -> None:
    assert list_served_versions(FLOW_CONTROL, "FlowSchema", kubernetes) == [f"{FLOW_CONTROL}/{one}" for one in served]


def test_most_kinds_have_one_version() -> None:
    assert list_served_versions("apps", "Deployment", "1.36") is None


def test_a_built_in_version_that_is_not_served_is_refused(repository: Repository) -> None:
    text = f"apiVersion: {FLOW_CONTROL}/v1beta3\nkind: FlowSchema\nmetadata: {{name: a}}\n"
    [finding] = judge(
        repository({"a.yaml": text, "gatekeeper.yaml": "library: {profile: 'off'}\nkubernetes: '1.32'\n"})
    ).findings
    assert (finding.rule, finding.location.line) == ("schema/not-served", 1)
    assert "Kubernetes 1.32 does not have it" in finding.message and f"in {FLOW_CONTROL}/v1" in finding.hint


def test_a_version_that_the_definition_does_not_serve_is_refused(repository: Repository) -> None:
    old = "  - {name: v0, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}\n"
    files: dict[str, str | bytes] = {"crd.yaml": CRD + old, "a.yaml": SHOP.replace("/v1", "/v0").replace("spec:\n", "")}
    [finding] = judge(repository(files)).findings
    assert (finding.rule, finding.location.file, finding.location.line) == ("schema/not-served", "a.yaml", 1)
    assert "`served: false`" in finding.message
