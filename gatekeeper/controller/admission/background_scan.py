"""What is in a cluster already, judged as if it came now; told as PolicyReports, and by figures.

Source: wgpolicyk8s.io/v1alpha2; see `report.policyreport`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from gatekeeper.cluster.dynamic_client import FORBIDDEN, ApiStatusError, DynamicClient, Kind, Object
from gatekeeper.controller.admission import review
from gatekeeper.controller.admission.review import AdmissionPolicies
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.model import Coverage, Verdict, deduplicate, get_field
from gatekeeper.report import policyreport

GROUP, VERSION = policyreport.API_VERSION.partition("/")[::2]
# What is no wish of anybody's, comes from others, or holds what is not for us to read.
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
    """Judges all that there is, again and again.

    Args:
        rules: what is judged by now.
        every: seconds.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        get_policies: Callable[[], AdmissionPolicies],
        interval_seconds: float,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._get_policies, self._interval_seconds, self._metrics = (
            cluster,
            get_policies,
            interval_seconds,
            metrics,
        )
        self._worker = Worker[str]("scan", lambda name: self._scan(), 1, metrics, is_assigned)
        self.component = Component([self._worker], enqueue_all=self._enqueue_scan)

    def _enqueue_scan(self) -> None:
        self._worker.add("cluster")

    def _scan(self) -> float:
        verdict, count = self._evaluate_cluster()
        counted = verdict.active_findings
        log_event(
            "info",
            "what is in the cluster was judged",
            controller="scan",
            objects=count,
            findings=len(counted),
            errors=sum(one.severity == "error" for one in counted),
            verdict=verdict.decision,
        )
        self._metrics.verdicts.labels("scan", verdict.decision).inc()
        self._write_reports(verdict)
        return self._interval_seconds

    def _evaluate_cluster(self) -> tuple[Verdict, int]:
        rules, whole, count = self._get_policies(), Verdict(), 0
        values = self._list_objects()
        while lot := list(itertools.islice(values, BATCH_SIZE)):
            one = review.evaluate_objects(rules, lot)
            count += len(lot)
            skipped = tuple(sorted({*whole.coverage.gaps, *one.coverage.gaps}))
            whole = one._replace(
                findings=deduplicate([*whole.findings, *one.findings]), coverage=Coverage(0, count, count, skipped)
            )
        return whole, count

    def _list_objects(self) -> Iterator[Object]:
        for name, kind in self._cluster.list_kinds():
            if name in SKIPPED_KINDS:
                continue
            try:
                for one in self._cluster.list(kind):
                    # What another object made is judged where it was made.
                    if not any(
                        owner.get("controller") for owner in get_field(one, ("metadata", "ownerReferences")) or ()
                    ):
                        yield {**one, "kind": name}
            except ApiStatusError as error:
                # That is told, and is no "nothing found".
                level = "warning" if error.code == FORBIDDEN else "error"
                log_event(level, f"not judged: {error}", controller="scan", kind=name)

    def _write_reports(self, verdict: Verdict) -> None:
        """Writes the reports, and takes away those of which nothing is left."""
        for name in ("PolicyReport", "ClusterPolicyReport"):
            kind = self._cluster.find_kind(f"{GROUP}/{VERSION}", name)
            if kind is None:
                return
            wanted = [one for one in orjson.loads(policyreport.render(verdict, Path()))["items"] if one["kind"] == name]
            for one in wanted:
                one["metadata"]["labels"] = {MANAGED_BY_LABEL: policyreport.REPORT_NAME}
                self._cluster.apply(kind, one, policyreport.REPORT_NAME, False)
            self._delete_stale_reports(kind, {one["metadata"].get("namespace") or "" for one in wanted})

    def _delete_stale_reports(self, kind: Kind, namespaces: set[str]) -> None:
        for one in self._cluster.list(kind, "", f"{MANAGED_BY_LABEL}={policyreport.REPORT_NAME}"):
            metadata = one["metadata"]
            if metadata["name"] == policyreport.REPORT_NAME and (metadata.get("namespace") or "") not in namespaces:
                self._cluster.delete(kind, metadata.get("namespace") or "", metadata["name"], metadata["uid"])
