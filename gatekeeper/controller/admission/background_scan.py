"""What is in a cluster already, judged as if it came now; told as PolicyReports, and by figures.

Source: wgpolicyk8s.io/v1alpha2; see `report.policyreport`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from gatekeeper.cluster.dynamic_client import FORBIDDEN, Kind, Object, Objects, Refusal
from gatekeeper.controller.admission import review
from gatekeeper.controller.admission.review import Rules
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.controller.runtime.worker import Loop
from gatekeeper.model import Coverage, Verdict, at, distinct
from gatekeeper.report import policyreport

GROUP, VERSION = policyreport.API_VERSION.partition("/")[::2]
# What is no wish of anybody's, comes from others, or holds what is not for us to read.
LEFT_OUT = {
    "Event", "Endpoints", "EndpointSlice", "Lease", "Secret", "ReplicaSet", "ControllerRevision", "ComponentStatus",
    "PodMetrics", "NodeMetrics", "PolicyReport", "ClusterPolicyReport", "CSINode", "FlowSchema",
    "PriorityLevelConfiguration", "APIService", "IPAddress", "ServiceCIDR",
}  # fmt: skip
AT_ONCE = 200
MARK = "app.kubernetes.io/managed-by"


class Scanner:
    """Judges all that there is, again and again.

    Args:
        rules: what is judged by now.
        every: seconds.
    """

    def __init__(
        self,
        cluster: Objects,
        rules: Callable[[], Rules],
        every: float,
        is_mine: Callable[[str], bool],
        figures: Figures,
    ) -> None:
        self._cluster, self._rules, self._every, self._figures = cluster, rules, every, figures
        self._loop = Loop[str]("scan", lambda name: self._scan(), 1, figures, is_mine)

    is_synced = True

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._loop.is_alive

    def start(self) -> None:
        """Begins."""
        self._loop.start()

    def all(self) -> None:
        """Looks at everything."""
        self._loop.add("cluster")

    def stop(self, seconds: float) -> bool:
        """Ends; whether in time."""
        return self._loop.stop(seconds)

    def _scan(self) -> float:
        verdict, count = self._judged()
        counted = verdict.counting
        say("info", "what is in the cluster was judged", controller="scan", objects=count, findings=len(counted),
            errors=sum(one.severity == "error" for one in counted), verdict=verdict.word)  # fmt: skip
        self._figures.judged.labels("scan", verdict.word).inc()
        self._report(verdict)
        return self._every

    def _judged(self) -> tuple[Verdict, int]:
        rules, whole, count = self._rules(), Verdict(), 0
        values = self._values()
        while lot := list(itertools.islice(values, AT_ONCE)):
            one = review.judged(rules, lot)
            count += len(lot)
            skipped = tuple(sorted({*whole.coverage.skipped, *one.coverage.skipped}))
            whole = one._replace(
                findings=distinct([*whole.findings, *one.findings]), coverage=Coverage(0, count, count, skipped)
            )
        return whole, count

    def _values(self) -> Iterator[Object]:
        for name, kind in self._cluster.served():
            if name in LEFT_OUT:
                continue
            try:
                for one in self._cluster.list(kind):
                    # What another object made is judged where it was made.
                    if not any(owner.get("controller") for owner in at(one, ("metadata", "ownerReferences")) or ()):
                        yield {**one, "kind": name}
            except Refusal as error:
                # That is told, and is no "nothing found".
                level = "warning" if error.code == FORBIDDEN else "error"
                say(level, f"not judged: {error}", controller="scan", kind=name)

    def _report(self, verdict: Verdict) -> None:
        """Writes the reports, and takes away those of which nothing is left."""
        for name in ("PolicyReport", "ClusterPolicyReport"):
            kind = self._cluster.kind(f"{GROUP}/{VERSION}", name)
            if kind is None:
                return
            wanted = [one for one in orjson.loads(policyreport.render(verdict, Path()))["items"] if one["kind"] == name]
            for one in wanted:
                one["metadata"]["labels"] = {MARK: policyreport.NAME}
                self._cluster.apply(kind, one, policyreport.NAME, False)
            self._tidy(kind, {one["metadata"].get("namespace") or "" for one in wanted})

    def _tidy(self, kind: Kind, spaces: set[str]) -> None:
        for one in self._cluster.list(kind, "", f"{MARK}={policyreport.NAME}"):
            metadata = one["metadata"]
            if metadata["name"] == policyreport.NAME and (metadata.get("namespace") or "") not in spaces:
                self._cluster.delete(kind, metadata.get("namespace") or "", metadata["name"], metadata["uid"])
