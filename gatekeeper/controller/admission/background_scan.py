"""Background scan: checks the objects that are already in the cluster, and writes PolicyReports and metrics.

Source: wgpolicyk8s.io/v1alpha2; see `report.policyreport`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from gatekeeper.cluster.dynamic_client import FORBIDDEN, ApiStatusError, DynamicClient, Kind
from gatekeeper.controller.admission.review import AdmissionPolicies, evaluate_objects
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.model import Object, Verdict, get_field
from gatekeeper.report import policyreport

GROUP, VERSION = policyreport.API_VERSION.partition("/")[::2]
# Kinds that controllers write, that describe no workload, or that the scan must not read.
SKIPPED_KINDS = {
    "Event",
    "Endpoints",
    "EndpointSlice",
    "Lease",
    "Secret",
    "ReplicaSet",
    "ControllerRevision",
    "ComponentStatus",
    "PodMetrics",
    "NodeMetrics",
    "PolicyReport",
    "ClusterPolicyReport",
    "CSINode",
    "FlowSchema",
    "PriorityLevelConfiguration",
    "APIService",
    "IPAddress",
    "ServiceCIDR",
}
BATCH_SIZE = 200
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"


class BackgroundScanner:
    """Scans the whole cluster at an interval.

    Args:
        get_policies: returns the policies in use.
        is_assigned: whether this replica holds the Lease of a shard; the scan is the name `cluster`.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        get_policies: Callable[[], AdmissionPolicies],
        interval_seconds: float,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._get_policies, self._metrics = cluster, get_policies, metrics
        self._interval_seconds = interval_seconds
        self._worker = Worker[str]("scan", lambda name: self._scan(), 1, metrics, is_assigned)
        self.component = Component([self._worker], enqueue_all=self._enqueue_scan)

    def _enqueue_scan(self) -> None:
        self._worker.add("cluster")

    def _scan(self) -> float:
        verdict, object_count = self._evaluate_cluster()
        findings = verdict.active_findings
        log_event(
            "info",
            "background scan finished",
            controller="scan",
            objects=object_count,
            findings=len(findings),
            errors=sum(finding.severity == "error" for finding in findings),
            verdict=verdict.decision,
        )
        self._metrics.verdicts.labels("scan", verdict.decision).inc()
        self._write_reports(verdict)
        return self._interval_seconds

    def _evaluate_cluster(self) -> tuple[Verdict, int]:
        policies, verdict, object_count = self._get_policies(), Verdict(), 0
        objects = self._list_objects()
        while batch := list(itertools.islice(objects, BATCH_SIZE)):
            batch_verdict = evaluate_objects(policies, batch)
            object_count += len(batch)
            verdict = batch_verdict.merge(verdict)
        return verdict, object_count

    def _list_objects(self) -> Iterator[Object]:
        for name, kind in self._cluster.list_kinds():
            if name in SKIPPED_KINDS:
                continue
            try:
                for value in self._cluster.list(kind):
                    # An object that another one controls is checked in its owner.
                    owners = get_field(value, ("metadata", "ownerReferences")) or ()
                    if not any(owner.get("controller") for owner in owners):
                        yield {**value, "kind": name}
            except ApiStatusError as error:
                # An incomplete scan must not look like one without findings.
                level = "warning" if error.code == FORBIDDEN else "error"
                log_event(level, f"not scanned: {error}", controller="scan", kind=name)

    def _write_reports(self, verdict: Verdict) -> None:
        """Write the reports, and delete the reports of namespaces that have no findings any more."""
        reports = orjson.loads(policyreport.render(verdict, Path()))["items"]
        for name in ("PolicyReport", "ClusterPolicyReport"):
            kind = self._cluster.find_kind(f"{GROUP}/{VERSION}", name)
            if kind is None:
                return
            namespaces = set[str]()
            for report in (report for report in reports if report["kind"] == name):
                report["metadata"]["labels"] = {MANAGED_BY_LABEL: policyreport.REPORT_NAME}
                self._cluster.apply(kind, report, policyreport.REPORT_NAME, False)
                namespaces.add(report["metadata"].get("namespace") or "")
            self._delete_stale_reports(kind, namespaces)

    def _delete_stale_reports(self, kind: Kind, namespaces: set[str]) -> None:
        for report in self._cluster.list(kind, "", f"{MANAGED_BY_LABEL}={policyreport.REPORT_NAME}"):
            metadata = report["metadata"]
            namespace = metadata.get("namespace") or ""
            if metadata["name"] == policyreport.REPORT_NAME and namespace not in namespaces:
                self._cluster.delete(kind, namespace, metadata["name"], metadata["uid"])
