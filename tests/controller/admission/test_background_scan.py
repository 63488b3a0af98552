"""The background scan of a real cluster: reports of what is there, and of nothing that it may not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.admission import review
from gatekeeper.controller.admission.background_scan import BackgroundScanner
from gatekeeper.controller.runtime.metrics import Metrics
from tests.controller.admission.test_review import repository
from tests.controller.admission.test_webhook import REPORTS, cluster
from tests.servers.cluster import Cluster

__all__ = ["cluster"]
RULE = """package main

import rego.v1

deny contains "no team" if {
	input.kind == "ConfigMap"
	input.metadata.name != "kube-root-ca.crt"
	not input.metadata.labels.team
}

deny contains "a secret was read" if input.kind == "Secret"
"""
MAPS, SECRETS = "/api/v1/namespaces/prod/configmaps", "/api/v1/namespaces/prod/secrets"


class Scan(NamedTuple):
    """A cluster, and its scanner."""

    server: Cluster
    scanner: BackgroundScanner
    metrics: Metrics

    def run(self) -> dict[str, list[str]]:
        """Scans once: the names of the objects with findings, by the namespace of their report."""
        self.scanner._scan()
        reports = self.server.ask("GET", f"{REPORTS}/policyreports")[1]["items"]
        return {
            report["metadata"]["namespace"]: sorted(result["resources"][0]["name"] for result in report["results"])
            for report in reports
            if report["metadata"]["name"] == "gatekeeper"
        }

    def create(self, name: str, path: str = MAPS, **metadata: Any) -> None:
        self.server.make(path, {"metadata": {"name": name, **metadata}})


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[DynamicClient]:
    with client.connect(cluster.kubeconfig) as found:
        yield found


@pytest.fixture
def scan(cluster: Cluster, connection: DynamicClient, tmp_path: Path) -> Iterator[Scan]:
    yield build_scan(cluster, connection, tmp_path)
    for path in (MAPS, SECRETS, f"{REPORTS}/namespaces/prod/policyreports"):
        cluster.ask("DELETE", path)


def build_scan(server: Cluster, connection: DynamicClient, folder: Path) -> Scan:
    policies = review.load_policies(repository(folder, RULE), None)
    metrics = Metrics()
    return Scan(server, BackgroundScanner(connection, lambda: policies, 60.0, lambda name: True, metrics), metrics)


def test_objects_that_a_policy_refuses_are_reported_by_namespace(scan: Scan) -> None:
    scan.create("bad")
    scan.create("worse")
    scan.create("good", labels={"team": "web"})
    assert scan.run().get("prod") == ["bad", "worse"]
    assert scan.metrics.verdicts.labels("scan", "refused")._value.get() == 1


def test_a_report_goes_with_its_last_finding(scan: Scan) -> None:
    scan.create("bad")
    assert "prod" in scan.run()
    scan.server.ask("DELETE", f"{MAPS}/bad")
    assert "prod" not in scan.run()


def test_a_report_of_another_program_stays(scan: Scan) -> None:
    report = {"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport", "metadata": {"name": "other"}}
    scan.server.make(f"{REPORTS}/namespaces/prod/policyreports", report)
    scan.run()
    assert scan.server.ask("GET", f"{REPORTS}/namespaces/prod/policyreports/other")[0] == 200


def test_secrets_and_objects_of_a_controller_are_not_scanned(scan: Scan) -> None:
    scan.create("s", SECRETS)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": True}
    scan.create("owned", ownerReferences=[owner])
    assert "prod" not in scan.run()


def test_a_kind_that_may_not_be_read_is_logged(
    cluster: Cluster, connection: DynamicClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = build_scan(cluster, connection.impersonate("system:serviceaccount:prod:nobody"), tmp_path)
    assert list(found.scanner._list_objects()) == []
    text = "".join(capsys.readouterr())
    assert "not scanned" in text and "ConfigMap" in text
