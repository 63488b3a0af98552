"""Services whose selector matches no Pod."""

from __future__ import annotations

from tests.conftest import Repository
from tests.engines.references.objects import find_faults, list_places

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: LABEL}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""


def test_a_selector_that_matches_no_pod_is_found(repository: Repository) -> None:
    assert find_faults(repository, SERVICE.replace("LABEL", "web")) == []
    assert list_places(find_faults(repository, SERVICE.replace("LABEL", "wbe"))) == [("selector", "0.yaml", 5)]
    alone = SERVICE.partition("---")[0]
    assert find_faults(repository, alone) == [], "its Pods may come from elsewhere"
    chart = (
        "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: c, namespace: prod}\n"
        "spec: {interval: 1h, chart: {spec: {chart: c, sourceRef: {kind: HelmRepository, name: r}}}}\n"
    )
    assert "selector" not in {
        one[0] for one in list_places(find_faults(repository, SERVICE.replace("LABEL", "x") + chart))
    }
