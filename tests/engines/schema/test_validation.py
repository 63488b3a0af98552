"""The schema engine: which kinds are known, what is refused and where, CRDs of the repository, and their CEL rules."""

from __future__ import annotations

import pytest

from gatekeeper.model import Finding
from tests.conftest import Repository, judge

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  names: {kind: Shop, plural: shops}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [name]
            x-kubernetes-validations:
            - {rule: "self.min <= self.max", message: min must not be above max}
            properties:
              name: {type: string, maxLength: 5}
              min: {type: integer, default: 0}
              max: {type: integer}
              port: {x-kubernetes-int-or-string: true}
              note: {type: string, nullable: true}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              map: {type: object, additionalProperties: {type: integer}}
              pod: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
"""
SHOP = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: s}\nspec:\n"


def found(repository: Repository, spec: str) -> list[Finding]:
    return list(judge(repository({"crd.yaml": CRD, "shop.yaml": SHOP + spec})).findings)


@pytest.mark.parametrize(
    "spec",
    [
        "  {name: a, min: 1, max: 2}",
        "  {name: a, max: 2, port: 80}",
        "  {name: a, max: 2, port: http, note: null}",
        "  {name: a, max: 2, free: {any: [1, {thing: x}]}}",
        "  {name: a, max: 2, map: {x: 1, y: 2}}",
        "  {name: a, max: 2, pod: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}}}",
        "  {name: '${NAME_OF_SHOP}', max: 2}",
        "  {name: a, min: '${MIN}', max: 2}",
    ],
)
def test_objects_that_the_api_server_accepts_are_accepted(repository: Repository, spec: str) -> None:
    assert found(repository, spec) == []


@pytest.mark.parametrize(
    ("spec", "rule", "line", "words"),
    [
        ("  name: a\n  max: 1\n  nmae: b\n", "schema/unknown-field", 7, "unknown field `spec.nmae`"),
        ("  max: 1\n", "schema/required", 4, "required field `spec.name` is missing"),
        ("  name: abcdef\n  max: 1\n", "schema/constraint", 5, "violates `maxLength` (5)"),
        ("  name: 7\n  max: 1\n", "schema/type", 5, "must be a string, not an integer"),
        ("  name: a\n  max: many\n", "schema/type", 6, "must be an integer, not a string"),
        ("  name: a\n  max: 1\n  map:\n    x: y\n", "schema/type", 8, "`spec.map.x` must be an integer"),
        ("  name: a\n  min: 3\n  max: 1\n", "schema/cel", 4, "min must not be above max"),
    ],
)
def test_rejected_document_is_reported_with_its_line(
    repository: Repository, spec: str, rule: str, line: int, words: str
) -> None:
    [finding] = found(repository, spec)
    assert (finding.rule, finding.location.file, finding.location.line) == (rule, "shop.yaml", line)
    assert words in finding.message


def test_a_close_name_is_proposed(repository: Repository) -> None:
    [finding] = found(repository, "  name: a\n  max: 1\n  fre: {}\n")
    assert finding.hint == "did you mean `free`?"


def test_a_kind_without_schema_is_refused_unless_the_config_allows_it(repository: Repository) -> None:
    verdict = judge(repository({"s.yaml": SHOP + "  {}"}))
    assert ([finding.rule for finding in verdict.findings], verdict.exit_code) == (["schema/missing"], 3)
    assert (verdict.coverage.resource_count, verdict.coverage.checked_count) == (1, 0)


@pytest.mark.parametrize("pattern", ["Shop", "example.com/v1/Shop", "example.com/*"])
def test_the_config_allows_a_kind_by_name(repository: Repository, pattern: str) -> None:
    config = f"library: {{profile: 'off'}}\nschemas: {{allowMissing: ['{pattern}']}}\n"
    verdict = judge(repository({"gatekeeper.yaml": config, "s.yaml": SHOP + "  {}"}))
    assert (verdict.findings, verdict.exit_code, verdict.coverage.checked_count) == ((), 0, 0)
    assert any("allowed by the config" in gap.reason for gap in verdict.coverage.gaps)


NAMED_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: quotas.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Quota, plural: quotas}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          metadata:
            type: object
            properties: {FIELD: RULE}
"""


@pytest.mark.parametrize(
    ("field", "rule", "refused", "accepted"),
    [
        ("name", "{type: string, enum: [default]}", "other", "default"),
        ("name", "{type: string, pattern: '^team-'}", "shop", "team-shop"),
        ("name", "{type: string, maxLength: 5}", "longer", "short"),
        ("name", "{type: string, minLength: 3}", "ab", "abc"),
        ("name", "{type: string, not: {enum: [default]}}", "default", "other"),
        ("name", "{type: string, anyOf: [{pattern: '^a'}, {pattern: '^b'}]}", "c", "b"),
        ("generateName", "{type: string, pattern: '^team-'}", "shop-", "team-"),
    ],
)
def test_name_constraints_of_a_crd_apply(
    repository: Repository, field: str, rule: str, refused: str, accepted: str
) -> None:
    quota = "apiVersion: example.com/v1\nkind: Quota\nmetadata: {FIELD: VALUE, namespace: a, labels: {b: c}}\n"
    crd = NAMED_CRD.replace("FIELD", field).replace("RULE", rule)
    files: dict[str, str | bytes] = {"crd.yaml": crd, "a.yaml": quota.replace("FIELD", field).replace("VALUE", refused)}
    verdict = judge(repository(files))
    assert [(one.location.file, one.field_path) for one in verdict.findings] == [("a.yaml", ("metadata", field))]
    files["a.yaml"] = quota.replace("FIELD", field).replace("VALUE", accepted)
    assert judge(repository(files)).findings == ()


def test_a_field_that_metadata_does_not_have_is_unknown_where_a_crd_restricts_the_name(repository: Repository) -> None:
    crd = NAMED_CRD.replace("FIELD", "name").replace("RULE", "{type: string, maxLength: 5}")
    quota = "apiVersion: example.com/v1\nkind: Quota\nmetadata: {name: a, namespac: b}\n"
    [finding] = judge(repository({"crd.yaml": crd, "a.yaml": quota})).findings
    assert finding.rule == "schema/unknown-field" and "namespace" in finding.hint
