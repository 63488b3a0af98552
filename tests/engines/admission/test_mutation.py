"""Mutating rules of Kyverno, applied before validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.model import Verdict
from tests.conftest import Repository, judge, needs
from tests.engines.admission.kyverno.test_evaluator import POD

pytestmark = needs("gatekeeper-kyverno")
MUTATING = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: defaults}
spec:
  rules:
  - name: team
    match: {any: [{resources: {kinds: [Pod]}}]}
    mutate: {patchStrategicMerge: {metadata: {labels: {+(team): web}}}}
"""
CEL = """\
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: defaults}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: "Object{metadata: Object.metadata{labels: {'team': 'web'}}}"
"""
VALIDATING = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: labels}
spec:
  validationFailureAction: Enforce
  rules:
  - name: team
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: no team, pattern: {metadata: {labels: {team: web}}}}
  - name: pinned
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: not pinned, pattern: {spec: {containers: [{image: '!*:latest'}]}}}
"""


def check(root: Path, mutate: str = "apply") -> Verdict:
    (root / "gatekeeper.yaml").write_text(f"policies: {{mutate: {mutate}}}\n")
    return judge(root)


def list_rules(verdict: Verdict) -> list[tuple[str, int | None]]:
    return [(one.rule, one.location.line) for one in verdict.findings if one.rule.startswith("labels/")]


@pytest.mark.parametrize("mutating", [MUTATING, CEL])
def test_objects_are_judged_as_mutating_rules_leave_them(repository: Repository, mutating: str) -> None:
    root = repository({"m.yaml": mutating, "v.yaml": VALIDATING, "o.yaml": POD.replace("IMAGE", "a:latest")})
    assert list_rules(check(root, "note")) == [("labels/team", 3), ("labels/pinned", 6)]
    applied = check(root)
    assert list_rules(applied) == [("labels/pinned", 6)], "the line is that of the file"
    assert "would mutate" not in str(applied.coverage.gaps)


def test_what_a_rule_breaks_is_found(repository: Repository) -> None:
    broken = MUTATING.replace("{+(team): web}", "{team: 'not a label value!'}")
    verdict = check(repository({"m.yaml": broken, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert any(one.rule.startswith("schema/") for one in verdict.findings), verdict.findings


def test_a_rule_that_cannot_be_applied_is_a_fatal_gap(repository: Repository) -> None:
    reading = MUTATING.replace("web", "'{{ request.object.metadata.annotations.team }}'")
    verdict = check(repository({"m.yaml": reading, "o.yaml": POD.replace("IMAGE", "a:1")}))
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert gap.file == "o.yaml" and "ClusterPolicy/defaults rule team could not be applied to Pod b/a" in gap.reason


def test_labels_of_a_namespace_that_the_repository_does_not_have_are_a_gap(repository: Repository) -> None:
    selecting = MUTATING.replace("kinds: [Pod]", "kinds: [Pod], namespaceSelector: {matchLabels: {tier: live}}")
    verdict = check(repository({"m.yaml": selecting, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert "selects by the labels of namespace `b`" in str([gap for gap in verdict.coverage.gaps if gap.is_fatal])


def test_a_namespace_that_only_admission_fills_in_is_not_written(repository: Repository) -> None:
    pod = POD.replace("IMAGE", "a:latest").replace(", namespace: b", "")
    root = repository({"m.yaml": MUTATING, "v.yaml": VALIDATING, "o.yaml": pod})
    assert list_rules(check(root)) == [("labels/pinned", 6)]
    assert not [one for one in check(root).findings if "namespace" in one.message and one.rule.startswith("schema")]


def test_policies_are_not_changed(repository: Repository) -> None:
    mutating, validating = (text.replace("kinds: [Pod]", "kinds: [ClusterPolicy]") for text in (MUTATING, VALIDATING))
    verdict = check(repository({"m.yaml": mutating, "v.yaml": validating.partition("  - name: pinned")[0]}))
    assert sorted(one.location.file for one in verdict.findings if one.rule == "labels/team") == ["m.yaml", "v.yaml"]
