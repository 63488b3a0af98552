"""The report as PolicyReports of a cluster: one per namespace, with counts that dashboards show."""

from __future__ import annotations

from pathlib import Path

import orjson

from gatekeeper.report import policyreport
from tests.report.verdicts import EMPTY, ERROR, FULL, NOTE, PAST


def test_policy_reports_are_one_a_namespace(tmp_path: Path) -> None:
    items = orjson.loads(policyreport.render(FULL, tmp_path))["items"]
    assert [(item["kind"], item["metadata"].get("namespace")) for item in items] == [
        ("ClusterPolicyReport", None),
        ("PolicyReport", "prod"),
    ]
    assert items[1]["summary"] == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    assert items[1]["results"][0]["resources"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "prod"}
    ]


def test_waived_and_old_findings_are_counted_as_skipped() -> None:
    cluster, namespaced = orjson.loads(policyreport.render(PAST, Path()))["items"]
    assert cluster["summary"] == {"pass": 0, "fail": 0, "warn": 0, "error": 0, "skip": 1}
    assert namespaced["summary"] == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 1}
    assert [result["result"] for result in namespaced["results"]] == ["fail", "skip"]


def test_a_finding_without_a_resource_is_left_out() -> None:
    for verdict in (EMPTY, FULL._replace(findings=(NOTE,))):
        assert orjson.loads(policyreport.render(verdict, Path())) == {"apiVersion": "v1", "kind": "List", "items": []}


def test_a_result_names_rule_category_field_and_revision() -> None:
    [report] = orjson.loads(policyreport.render(FULL._replace(findings=(ERROR,)), Path()))["items"]
    [result] = report["results"]
    assert report["metadata"] == {
        "name": "gatekeeper",
        "annotations": {"gatekeeper/revision": "c0ffee"},
        "namespace": "prod",
    }
    assert (result["rule"], result["category"], result["severity"]) == ("images/latest-tag", "images", "high")
    assert result["properties"] == {"file": "a b/é.yaml", "line": "2", "field": "spec[0]"}
