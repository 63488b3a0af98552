"""Policies of all families: one that cannot be evaluated is a fatal gap, unless the config leaves it to the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.admission import engine
from gatekeeper.engines.protocol import EngineResult
from tests.conftest import Repository, needs
from tests.engines.admission.test_constraints import CONSTRAINT, OBJECT, TEMPLATE
from tests.engines.contexts import build_context

BROKEN = CONSTRAINT.replace("kinds: [{", "kind: [{")
KYVERNO = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: labels}
spec:
  validationFailureAction: Enforce
  rules:
  - name: team
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: no team, pattern: {metadata: {labels: {team: web}}}}
"""


def evaluate(repository: Repository, files: dict[str, str | bytes], **fields: Any) -> EngineResult:
    return engine.evaluate(build_context(repository({"o.yaml": OBJECT, **files}), Config()._replace(**fields)))


def test_a_policy_that_cannot_be_parsed_is_a_fatal_gap_with_a_way_out(repository: Repository) -> None:
    result = evaluate(repository, {"t.yaml": TEMPLATE, "c.yaml": BROKEN})
    [gap] = result.global_gaps
    assert gap.is_fatal and gap.file == "c.yaml"
    assert "policy TeamLabel/teams could not be evaluated" in gap.reason and "policies.clusterOnly" in gap.reason


@pytest.mark.parametrize("pattern", ["TeamLabel/teams", "TeamLabel/*", "*"])
def test_the_config_can_leave_a_policy_to_the_cluster(repository: Repository, pattern: str) -> None:
    files: dict[str, str | bytes] = {"t.yaml": TEMPLATE, "c.yaml": BROKEN}
    [gap] = evaluate(repository, files, cluster_only=(pattern,)).global_gaps
    assert not gap.is_fatal and "clusterOnly" not in gap.reason


@needs("gatekeeper-kyverno")
def test_a_broken_family_does_not_keep_the_others_from_checking(repository: Repository) -> None:
    result = evaluate(repository, {"t.yaml": TEMPLATE, "c.yaml": BROKEN, "k.yaml": KYVERNO})
    assert [finding.rule for finding in result.findings] == ["labels/team"]
    assert any(gap.is_fatal for gap in result.global_gaps)


def test_two_templates_of_one_kind_are_refused(repository: Repository) -> None:
    other = TEMPLATE.replace("no team", "other text")
    result = evaluate(repository, {"t.yaml": TEMPLATE, "other.yaml": other, "c.yaml": CONSTRAINT})
    [gap] = [gap for gap in result.global_gaps if "a second ConstraintTemplate defines TeamLabel" in gap.reason]
    assert gap.is_fatal


def test_labels_of_a_namespace_that_the_repository_does_not_have_are_a_fatal_gap(repository: Repository) -> None:
    selecting = CONSTRAINT.replace("    kinds:", "    namespaceSelector: {matchLabels: {tier: live}}\n    kinds:")
    files: dict[str, str | bytes] = {"t.yaml": TEMPLATE, "c.yaml": selecting}
    result = evaluate(repository, files)
    [gap] = result.global_gaps
    assert gap.is_fatal and "namespace" in gap.reason and not result.findings
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {tier: live}}\n"
    known = evaluate(repository, {**files, "n.yaml": namespace})
    assert not known.global_gaps and [finding.rule for finding in known.findings] == ["TeamLabel/teams"]


@needs("gatekeeper-kyverno")
def test_a_policy_of_a_version_that_kyverno_does_not_serve_is_a_fatal_gap(repository: Repository) -> None:
    text = "apiVersion: policies.kyverno.io/v9\nkind: ValidatingPolicy\nmetadata: {name: x}\nspec: {}\n"
    [gap] = evaluate(repository, {"p.yaml": text}).global_gaps
    assert gap.is_fatal and "policies.kyverno.io/v9" in gap.reason
