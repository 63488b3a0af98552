"""CEL rules of CRDs: a broken rule is found, and one that cannot be evaluated is a fatal gap."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.engines.schema import crd_cel_rules
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.engines.schema.crd_cel_rules import CrdCelRules
from gatekeeper.engines.schema.crds import parse_crd
from gatekeeper.model import Finding, Gap
from tests.conftest import Repository, judge
from tests.engines.resources import parse_resources
from tests.engines.schema.test_validation import CRD, SHOP


def test_a_cel_rule_that_cannot_be_evaluated_is_a_gap(repository: Repository) -> None:
    verdict = judge(
        repository({"crd.yaml": CRD.replace("self.min <=", "self.gone <="), "s.yaml": SHOP + "  {name: a, max: 1}"})
    )
    assert verdict.exit_code == 3
    [reason] = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal]
    assert reason.startswith("the CRD's rule `self.gone <= self.max` cannot be evaluated on Shop s")


KEY = ("example.com/v1", "Shop")


def check(spec: str, crd: str = CRD) -> tuple[list[Finding], list[Gap]]:
    [definition] = parse_resources(crd)
    gaps: list[Gap] = []
    rules = CrdCelRules(SchemaCatalog("1.34", parse_crd(orjson.loads(definition.json))))
    return rules.check_resources(KEY, parse_resources(SHOP + spec), gaps), gaps


def test_a_broken_rule_is_found_at_its_field_with_its_message() -> None:
    [finding], gaps = check("  min: 3\n  max: 2\n")
    assert (finding.rule, finding.location.line, finding.message) == ("schema/cel", 4, "min must not be above max")
    assert "self.min <= self.max" in finding.hint and gaps == []
    assert check("  min: 2\n  max: 2\n") == ([], [])


@pytest.mark.parametrize("value", ["${MAX}", "'ENC[AES256_GCM,x]'"])
def test_a_value_that_is_not_known_yet_breaks_no_rule(value: str) -> None:
    crd = CRD.replace("max: {type: integer}", "max: {type: string}").replace("self.min <= self.max", "self.max == 'x'")
    assert check(f"  max: {value}\n", crd) == ([], [])
    assert len(check("  max: y\n", crd)[0]) == 1


def test_without_the_compiled_module_each_resource_is_a_fatal_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd_cel_rules, "CelRules", None)
    findings, [gap] = check("  min: 3\n  max: 2\n")
    assert findings == [] and gap.is_fatal and "Rust compiler" in gap.reason


def test_a_crd_without_rules_needs_no_compiled_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd_cel_rules, "CelRules", None)
    without = CRD.replace("x-kubernetes-validations", "x-other")
    assert check("  min: 3\n", without) == ([], [])
