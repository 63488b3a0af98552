"""Policies of `policies.kyverno.io`, in all served versions."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge, needs
from tests.engines.admission.kyverno.test_evaluator import POD, find
from tests.gate.test_pipeline import DEPLOYMENT

pytestmark = needs("gatekeeper-kyverno")
POLICY = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: labels}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: object.metadata.?labels.?team.hasValue()
    message: name a team
"""
POD = POD.replace("IMAGE", "a:1")
EXCEPTION = """\
apiVersion: policies.kyverno.io/v1
kind: PolicyException
metadata: {name: e, namespace: b}
spec:
  policyRefs: [{name: labels, kind: ValidatingPolicy}]
  matchConditions: [{name: only, expression: object.metadata.name == 'a'}]
"""


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1", "v1"])
def test_each_served_version_is_judged(repository: Repository, version: str) -> None:
    policy = POLICY.replace(".io/v1", f".io/{version}")
    [(rule, severity, message, line)] = find(repository, policy, POD)
    assert (rule, severity, message, line) == ("ValidatingPolicy/labels", "error", "name a team", 3)


def test_an_action_other_than_deny_is_a_warning(repository: Repository) -> None:
    assert [one[1] for one in find(repository, POLICY.replace("[Deny]", "[Audit]"), POD)] == ["warning"]


def test_a_policy_for_pods_judges_the_templates_of_controllers(repository: Repository) -> None:
    assert [one[0] for one in find(repository, POLICY, DEPLOYMENT)] == ["ValidatingPolicy/labels"]
    alone = POLICY.replace("spec:\n", "spec:\n  autogen: {podControllers: {controllers: []}}\n", 1)
    assert find(repository, alone, DEPLOYMENT) == []


def test_match_conditions_select_objects(repository: Repository) -> None:
    conditions = "  matchConditions: [{name: only, expression: \"object.metadata.name.startsWith('NAME')\"}]\n"
    policy = POLICY.replace("  validations:", f"{conditions}  validations:")
    assert [len(find(repository, policy.replace("NAME", name), POD)) for name in ("a", "b")] == [1, 0]


def test_variables_and_libraries_of_kubernetes_are_there(repository: Repository) -> None:
    policy = POLICY.replace(
        "  validations:", "  variables: [{name: limit, expression: \"quantity('1Gi')\"}]\n  validations:"
    ).replace("object.metadata.?labels.?team.hasValue()", "variables.limit.isGreaterThan(quantity('2Gi'))")
    assert len(find(repository, policy, POD)) == 1


def test_a_namespaced_policy_judges_its_namespace(repository: Repository) -> None:
    policy = POLICY.replace("kind: V", "kind: NamespacedV").replace("{name: labels}", "{name: labels, namespace: NAME}")
    assert [len(find(repository, policy.replace("NAME", name), POD)) for name in ("b", "c")] == [1, 0]


def test_an_exception_applies_until_it_expires(repository: Repository) -> None:
    assert find(repository, POLICY, POD, EXCEPTION) == []
    assert len(find(repository, POLICY, POD, EXCEPTION.replace("== 'a'", "== 'z'"))) == 1
    for year, count in (("2001", 1), ("2999", 0)):
        dated = EXCEPTION.replace("spec:\n", f"spec:\n  expiresAt: {year}-01-01T00:00:00Z\n")
        assert len(find(repository, POLICY, POD, dated)) == count


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (POLICY.replace("has", "no"), "undeclared reference"),
        (POLICY.replace("object.m", "request.userInfo.username != '' && object.m"), "it reads `request.userInfo`"),
        (POLICY.replace("object.m", "authorizer.requestResource != null && object.m"), "it reads `authorizer`"),
        (POLICY.replace("object.m", "http.Get('https://a') != null && object.m"), "it calls `http.Get`"),
        (
            POLICY.replace("object.m", "globalContext.Get('a', 'b') != null && object.m"),
            "it calls `globalContext.Get`",
        ),
        (POLICY.replace("kind: V", "kind: ImageV"), "labels"),
        (POLICY.replace("validations:", "validation:"), "validation"),
    ],
)
def test_what_only_the_cluster_can_decide_is_a_fatal_gap(repository: Repository, policy: str, reason: str) -> None:
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD}))
    assert verdict.decision == "incomplete"
    assert any(reason in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_config_maps_of_the_repository_can_be_read(repository: Repository) -> None:
    policy = POLICY.replace(
        "object.metadata.?labels.?team.hasValue()",
        "resource.Get('v1', 'configmaps', 'b', 'teams').data.default != ''",
    )
    teams = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: teams, namespace: b}\ndata: {default: VALUE}\n"
    assert find(repository, policy, POD, teams.replace("VALUE", "web")) == []
    assert len(find(repository, policy, POD, teams.replace("VALUE", "''"))) == 1
    verdict = judge(repository({"p.yaml": policy, "0.yaml": POD, "1.yaml": b""}))
    assert "does not contain the ConfigMap b/teams" in str([gap for gap in verdict.coverage.gaps if gap.is_fatal])


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        (
            "MutatingPolicy",
            "mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{}'}}]",
            "would mutate resources",
        ),
        ("GeneratingPolicy", "generate: [{expression: 'generator.Apply(\"b\", [])'}]", "would generate resources"),
        ("DeletingPolicy", 'schedule: "* * * * *"', "would delete resources"),
    ],
)
def test_policies_that_change_the_cluster_are_noted(repository: Repository, kind: str, spec: str, words: str) -> None:
    head = POLICY.partition("  validations:")[0].replace("kind: ValidatingPolicy", f"kind: {kind}")
    policy = head.replace("  validationActions: [Deny]\n", "") + f"  {spec}\n"
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD}))
    assert words in str(verdict.coverage.gaps), verdict.coverage.gaps
    assert verdict.decision == "accepted"


def test_cleanup_policies_are_noted(repository: Repository) -> None:
    policy = (
        "apiVersion: kyverno.io/v2\nkind: ClusterCleanupPolicy\nmetadata: {name: c}\n"
        "spec: {schedule: '* * * * *', match: {any: [{resources: {kinds: [Pod]}}]}}\n"
    )
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD}))
    assert "it would delete resources" in str(verdict.coverage.gaps) and verdict.decision == "accepted"
