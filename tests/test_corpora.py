"""Public repositories, checked completely; each finding below was verified by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from gatekeeper import config
from gatekeeper.engines.rego import policy_tests
from gatekeeper.engines.rego.regorus.engine import is_available
from tests.conftest import SHARED, judge, needs, shared

pytestmark = [shared("corpora"), needs("gatekeeper-upstream")]

# What is found at the default settings.
#   flux2-kustomize-helm-example: charts from elsewhere, and no lock.
#   podinfo: roles that allow everything, ports of the node.
#   microservices-demo: eleven manifests name images without a tag, which Skaffold fills in.
#   flux2-multi-tenancy: a version that Flux removed, a tenant that is cluster-admin; warnings that the source which
#   `flux bootstrap` will make is in no file yet.
#   kube-prometheus: three Secrets with their values in the open; node-exporter looks at the node, as it must.
FOUND: dict[str, dict[str, int]] = {
    "fluxcd__flux2-kustomize-helm-example": {"sources/unlocked": 4},
    "podinfo": {"pod-security/host-ports": 2, "rbac/wildcard": 2},
    "microservices-demo": {"images/latest-tag": 11},
    "fluxcd__flux2-multi-tenancy": {"gitops/removed-api": 1, "rbac/cluster-admin": 1},
    "kube-prometheus": {
        "plaintext/secret": 3,
        "pod-security/host-namespaces": 2,
        "pod-security/host-path": 2,
        "pod-security/capabilities": 1,
        "pod-security/host-ports": 1,
    },
}


@pytest.mark.parametrize("name", FOUND)
def test_findings_of_public_repositories_are_expected(name: str) -> None:
    verdict = judge(SHARED / "corpora" / name)
    assert Counter(finding.rule for finding in verdict.findings) == FOUND[name]


def test_repository_with_many_operators_misses_only_schemas() -> None:
    verdict = judge(SHARED / "corpora" / "billimek__k8s-gitops")
    found = [(finding.rule, finding.severity) for finding in verdict.findings]
    # Its charts come from elsewhere, and it has no lock.
    assert set(found) == {("schema/missing", "error"), ("sources/unlocked", "warning")}
    assert verdict.coverage.checked_count > 220


def test_a_large_repository_is_checked_to_the_end() -> None:
    """It holds faults of every sort: files that are gone, orphans, SOPS files without an encrypted value."""
    verdict = judge(SHARED / "corpora" / "xunholy__k8s-gitops")
    found = Counter(finding.rule for finding in verdict.findings)
    assert verdict.exit_code == 3
    assert found["render/kustomize"] == 6
    assert found["plaintext/secret"] == 9
    assert sum("without an encrypted value" in finding.message for finding in verdict.findings) == 6
    assert not [gap for gap in verdict.coverage.gaps if "could not be evaluated" in gap.reason]
    assert all(finding.location.line for finding in verdict.findings)


@needs("opa")
@pytest.mark.parametrize("engine", ["embedded", "opa"])
@pytest.mark.parametrize(
    ("folder", "count"), [("raspbernetes__k8s-security-policies", 193), ("instrumenta__policies", 2)]
)
def test_tests_of_public_policies_pass(folder: str, count: int, engine: str) -> None:
    if engine == "embedded" and not is_available():
        pytest.skip("the embedded engine was not built")
    done = policy_tests.run_tests(
        SHARED / "corpora" / "policies", [folder], [], config.Config(library="off", engine=engine), 2
    ).results
    assert [trial for trial in done if not trial.passed] == []
    assert len(done) == count
