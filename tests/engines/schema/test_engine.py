"""The schema engine: counts what it checked, and knows the CRDs of the repository."""

from __future__ import annotations

from gatekeeper.config import Config
from gatekeeper.engines.schema import engine
from tests.conftest import Repository
from tests.engines.contexts import build_context
from tests.engines.schema.test_validation import CRD, SHOP
from tests.gate.test_pipeline import DEPLOYMENT, GOOD


def test_checked_resources_are_counted_and_a_kind_without_schema_is_not(repository: Repository) -> None:
    result = engine.evaluate(build_context(repository({"a.yaml": GOOD, "s.yaml": SHOP + "  {name: a}"})))
    assert result.checked_count == 1
    assert [finding.rule for finding in result.findings] == ["schema/missing"]
    assert any(gap.is_fatal for gap in result.gaps)


def test_a_crd_of_the_repository_is_the_schema_of_its_kind(repository: Repository) -> None:
    result = engine.evaluate(build_context(repository({"crd.yaml": CRD, "s.yaml": SHOP + "  {max: 1}"})))
    assert (result.checked_count, [finding.rule for finding in result.findings]) == (2, ["schema/required"])


def test_a_removed_api_version_is_checked_by_its_replacement(repository: Repository) -> None:
    text = DEPLOYMENT.replace("apps/v1", "extensions/v1beta1").replace("  replicas: 1\n", "")
    result = engine.evaluate(build_context(repository({"a.yaml": text.replace("spec:", "spec:\n  replicaz: 2", 1)})))
    assert "schema/unknown-field" in [finding.rule for finding in result.findings]


def test_schemas_are_those_of_the_version_in_the_config(repository: Repository) -> None:
    text = (
        "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {minReplicas: x}\n"
    )
    root = repository({"a.yaml": text})
    old = engine.evaluate(build_context(root, Config()._replace(kubernetes="1.25")))
    assert [finding.rule for finding in old.findings if finding.rule == "schema/type"] == ["schema/type"]
