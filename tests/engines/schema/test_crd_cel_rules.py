"""CEL rules of CRDs: the API server's validation decides, and each finding names its rule."""

from __future__ import annotations

import pytest

from gatekeeper.engines.schema.crd_cel_rules import find_rule
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.model import FieldPath
from gatekeeper.upstream.validation import ApiServerFault
from tests.conftest import Repository, judge, needs
from tests.engines.schema.test_validation import CRD, SHOP

NESTED = "self.sizes.all(a, self.sizes.all(b, self.sizes.all(c, self.sizes.all(d, self.sizes.all(e, a+b+c+d+e > 0)))))"


def found(repository: Repository, spec: str, crd: str = CRD) -> list[tuple[str, str, str]]:
    """(rule, file, message) of each finding about schemas, and "" for each fatal gap of them."""
    verdict = judge(repository({"crd.yaml": crd, "s.yaml": SHOP + spec}))
    gaps = [("", gap.file, gap.reason) for gap in verdict.coverage.gaps if gap.is_fatal and "schema" in gap.reason]
    findings = [(one.rule, one.location.file, one.message) for one in verdict.findings]
    return [one for one in findings if one[0].startswith("schema/")] + gaps


@needs("gatekeeper-upstream")
def test_a_broken_rule_is_found_at_its_field_with_its_message(repository: Repository) -> None:
    [finding] = judge(repository({"crd.yaml": CRD, "s.yaml": SHOP + "  name: a\n  min: 3\n  max: 2\n"})).findings
    assert (finding.rule, finding.location.line, finding.message) == ("schema/cel", 4, "min must not be above max")
    assert finding.hint == "the CRD requires: self.min <= self.max"


@needs("gatekeeper-upstream")
@pytest.mark.parametrize("value", ["${MAX}", "'ENC[AES256_GCM,x]'"])
def test_a_value_that_is_not_known_yet_breaks_no_rule(repository: Repository, value: str) -> None:
    crd = CRD.replace("max: {type: integer}", "max: {type: string, x-kubernetes-validations: [{rule: self == 'x'}]}")
    crd = crd.replace("self.min <= self.max", "self.min > 0")
    assert found(repository, f"  name: a\n  min: 1\n  max: {value}\n", crd) == []
    assert found(repository, "  name: a\n  min: 1\n  max: other\n", crd) == [
        ("schema/cel", "s.yaml", "failed rule: self == 'x'")
    ]


@needs("gatekeeper-upstream")
def test_a_rule_that_does_not_compile_is_a_fault_of_its_definition(repository: Repository) -> None:
    spec = "  name: a\n  min: 3\n  max: 9\n"
    faults = found(repository, spec, CRD.replace("self.min <= self.max", "authorizer.serviceAccount('a', 'b').ok"))
    assert [(rule, file) for rule, file, _ in faults] == [
        ("schema/apiserver", "crd.yaml"),
        ("schema/apiserver", "s.yaml"),
    ]
    assert all("undeclared reference to 'authorizer'" in message for _, _, message in faults)


@needs("gatekeeper-upstream")
def test_a_rule_of_exponential_cost_is_refused_by_its_estimate(repository: Repository) -> None:
    crd = CRD.replace("self.min <= self.max", NESTED)
    crd = crd.replace("max: {type: integer}", "sizes: {type: array, items: {type: integer}}")
    faults = found(repository, f"  name: a\n  sizes: {[*range(1, 100)]}\n", crd)
    assert [(rule, file) for rule, file, _ in faults[:2]] == [("schema/apiserver", "crd.yaml")] * 2
    assert "estimated rule cost exceeds budget by factor of more than 100x" in faults[1][2]
    assert [(rule, file) for rule, file, _ in faults[2:]] == [("schema/apiserver", "s.yaml")]
    assert "actual cost limit exceeded" in faults[2][2]


@needs("gatekeeper-upstream")
def test_rules_of_a_schema_that_is_not_structural_are_a_fatal_gap(repository: Repository) -> None:
    crd = CRD.replace("max: {type: integer}", "max: {}")
    faults = found(repository, "  name: a\n  min: 3\n  max: 2\n", crd)
    assert ("schema/apiserver", "crd.yaml") in [one[:2] for one in faults]
    [gap] = [message for rule, _, message in faults if not rule]
    assert gap.startswith("Shop (example.com/v1) was checked by its schema only: the schema is not structural")


def build_kind() -> CustomKind:
    text = {
        "type": "string",
        "x-kubernetes-validations": [{"rule": "self != 'x'", "messageExpression": "'no ' + self"}],
    }
    items = {"type": "array", "items": {"type": "object", "additionalProperties": text}}
    spec = {
        "type": "object",
        "properties": {"all": items},
        "x-kubernetes-validations": [{"rule": "has(self.all)", "fieldPath": ".all", "message": " all is missing "}],
    }
    return CustomKind("example.com", "v1", "Shop", True, {"type": "object", "properties": {"spec": spec}})


@pytest.mark.parametrize(
    ("path", "type_name", "detail", "expression"),
    [
        (("spec", "all"), "FieldValueRequired", "all is missing", "has(self.all)"),
        (("spec", "all", 0, "a"), "FieldValueInvalid", "no x", "self != 'x'"),
        (("spec", "all", 0, "a"), "FieldValueInvalid", "spec.all[0].a in body must be of type string", None),
        (("spec", "all", 0, "a"), "FieldValueTypeInvalid", "no x", None),
        (("spec",), "FieldValueInvalid", "all is missing", None),
        (("other", "all"), "FieldValueInvalid", "no x", None),
    ],
)
def test_a_fault_is_that_of_the_rule_with_its_message(
    path: FieldPath, type_name: str, detail: str, expression: str | None
) -> None:
    rule = find_rule(build_kind(), path, ApiServerFault("", type_name, detail))
    assert (rule.expression if rule else None) == expression
