"""The report as resources of a cluster: PolicyReport and ClusterPolicyReport, which dashboards read.

Source: wgpolicyk8s.io/v1alpha2, https://github.com/kubernetes-sigs/wg-policy-prototypes
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from gatekeeper.host import json_text
from gatekeeper.model import Finding, ObjectRef, Verdict, format_path
from gatekeeper.report import places

API_VERSION = "wgpolicyk8s.io/v1alpha2"
SEVERITY_RESULTS = {"error": ("fail", "high"), "warning": ("warn", "medium"), "info": ("warn", "info")}
REPORT_NAME = "gatekeeper"


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """A List of one report a namespace, and one for what has none; findings without a resource are left out."""
    del root, colour
    lots: dict[str, list[Finding]] = {}
    for finding in verdict.findings:
        # One cause is one entry in each namespace where it has a place.
        refs = [place.resource_ref for place in places.list_places(finding) or (finding,)]
        for namespace in dict.fromkeys(ref.namespace for ref in refs if ref):
            lots.setdefault(namespace, []).append(finding)
    items = [_build_report(namespace, lots[namespace], verdict) for namespace in sorted(lots)]
    value = {"apiVersion": "v1", "kind": "List", "items": items}
    return json_text.format_report(value)


def _build_report(namespace: str, findings: list[Finding], verdict: Verdict) -> dict[str, Any]:
    counted = Counter(
        "skip" if finding.waiver or finding.is_preexisting else SEVERITY_RESULTS[finding.severity][0]
        for finding in findings
    )
    metadata: dict[str, Any] = {"name": REPORT_NAME, "annotations": {"gatekeeper/revision": verdict.revision or "none"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "PolicyReport" if namespace else "ClusterPolicyReport",
        "metadata": {**metadata, "namespace": namespace} if namespace else metadata,
        "summary": {word: counted[word] for word in ("pass", "fail", "warn", "error", "skip")},
        "results": [_build_result(finding, namespace) for finding in findings],
    }


def _build_result(finding: Finding, namespace: str) -> dict[str, Any]:
    result, severity = SEVERITY_RESULTS[finding.severity]
    place = {
        "file": finding.location.file,
        "line": str(finding.location.line or ""),
        "field": format_path(finding.field_path),
    }
    category, _, rule = finding.rule.rpartition("/")
    refs = [place.resource_ref for place in places.list_places(finding) or (finding,)]
    return {
        "source": REPORT_NAME,
        "policy": category or rule,
        "rule": finding.rule,
        "category": category,
        "result": "skip" if finding.waiver or finding.is_preexisting else result,
        "severity": severity,
        "message": places.describe_finding(finding),
        "resources": [_build_resource(ref) for ref in dict.fromkeys(refs) if ref and ref.namespace == namespace],
        "properties": {key: text for key, text in place.items() if text},
    }


def _build_resource(ref: ObjectRef) -> dict[str, str]:
    named = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}
    return {**named, "namespace": ref.namespace} if ref.namespace else named
