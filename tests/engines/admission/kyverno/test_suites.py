"""Kyverno's test suites: expected results, values, exceptions, suites that cannot be run, and the public corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.admission.kyverno import suites
from tests.conftest import SHARED, Repository, needs
from tests.engines.admission.kyverno.test_evaluator import POD, POLICY

pytestmark = needs("gatekeeper-kyverno")
CORPUS = SHARED / "corpora" / "policies" / "kyverno__policies"
SUITE = """\
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: t}
policies: [p.yaml]
resources: [o.yaml]
results:
- {policy: images, rule: pinned, resources: [a], kind: Pod, result: RESULT}
"""
VALUES_POLICY = POLICY.replace('"*:* & !*:latest"', '"{{ allowed }}"').replace(
    "    validate:", "    context: [{name: allowed, apiCall: {urlPath: /x}}]\n    validate:"
)
VALUES = """\
apiVersion: cli.kyverno.io/v1alpha1
kind: Values
policies:
- name: images
  rules: [{name: pinned, values: {allowed: 'a:*'}}]
"""
EXCEPTION = (
    "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: b}\n"
    "spec: {exceptions: [{policyName: images, ruleNames: [pinned]}], match: {any: [{resources: {kinds: [Pod]}}]}}\n"
)


def run(root: Path) -> list[tuple[bool, str, str]]:
    return [(one.passed, one.error, one.message) for one in suites.run_suites(root, suites.find_suites(root, ["."]))]


def test_each_expected_result_is_an_outcome(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:latest")}
    root = repository({**files, "kyverno-test.yaml": SUITE.replace("RESULT", "fail")})
    [outcome] = suites.run_suites(root, suites.find_suites(root, ["."]))
    assert outcome.passed and outcome.name.startswith("kyverno-test.yaml: images/pinned on ")
    root = repository({**files, "kyverno-test.yaml": SUITE.replace("RESULT", "pass")})
    assert run(root) == [(False, "", "Want pass, got fail")]


def test_values_stand_for_what_the_cluster_would_answer(repository: Repository) -> None:
    suite = SUITE.replace("RESULT", "pass") + "variables: values.yaml\n"
    files: dict[str, str | bytes] = {"p.yaml": VALUES_POLICY, "o.yaml": POD.replace("IMAGE", "a:1")}
    assert run(repository({**files, "values.yaml": VALUES, "kyverno-test.yaml": suite})) == [(True, "", "")]


def test_exceptions_skip_a_rule(repository: Repository) -> None:
    suite = SUITE.replace("RESULT", "skip") + "exceptions: [e.yaml]\n"
    files: dict[str, str | bytes] = {"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:latest")}
    assert run(repository({**files, "e.yaml": EXCEPTION, "kyverno-test.yaml": suite})) == [(True, "", "")]


def test_a_user_is_who_the_suite_says(repository: Repository) -> None:
    policy = POLICY.replace("spec:\n", "spec:\n  background: false\n", 1).replace(
        "    validate:", "    exclude: {any: [{clusterRoles: [cluster-admin]}]}\n    validate:"
    )
    info = "apiVersion: cli.kyverno.io/v1alpha1\nkind: UserInfo\nclusterRoles: [cluster-admin]\n"
    suite = SUITE.replace("RESULT", "skip") + "userinfo: user.yaml\n"
    files: dict[str, str | bytes] = {"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:latest")}
    [(passed, error, message)] = run(repository({**files, "user.yaml": info, "kyverno-test.yaml": suite}))
    assert (passed, error) == (True, "") or "Excluded" in message, message


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        (SUITE.replace("[o.yaml]", "[missing.yaml]"), "missing.yaml"),
        (SUITE.replace("policies: [p.yaml]", "policies:\n- https://example.com/p.yaml"), "another server"),
        (SUITE.replace("kind: Test", "kind: Test\nunknown: 1"), "unknown"),
        (SUITE + "- ][\n", "yaml"),
    ],
)
def test_a_suite_that_cannot_be_run_is_an_error(repository: Repository, suite: str, reason: str) -> None:
    root = repository({"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:1"), "kyverno-test.yaml": suite})
    [(passed, error, _)] = run(root)
    assert not passed and reason in error


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the public policies are not here")
@pytest.mark.parametrize("folder", sorted(path.name for path in CORPUS.glob("*/")) or ["none"])
def test_no_result_of_the_public_suites_differs(folder: str) -> None:
    """A suite that cannot be run names the file that the collection does not have."""
    outcomes = suites.run_suites(CORPUS, suites.find_suites(CORPUS, [folder]))
    assert [one for one in outcomes if not one.passed and not one.error] == []
    assert all("no such file or directory" in one.error for one in outcomes if one.error)
    assert folder not in ("best-practices", "other-vpol") or sum(one.passed for one in outcomes) > 50
