"""Kyverno's test suites: expected results, values, exceptions, suites that cannot be run, and the public corpus."""

from __future__ import annotations

from pathlib import Path

import orjson
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


@pytest.mark.parametrize(
    ("role", "expected", "outcome"),
    [
        ("cluster-admin", "skip", (True, "", "")),
        # Kyverno's command accepts an excluded resource, whatever the suite expects.
        ("cluster-admin", "fail", (True, "", "")),
        ("view", "fail", (True, "", "")),
        ("view", "skip", (False, "", "Want skip, got fail")),
    ],
)
def test_a_user_is_who_the_suite_says(
    repository: Repository, role: str, expected: str, outcome: tuple[bool, str, str]
) -> None:
    policy = POLICY.replace("spec:\n", "spec:\n  background: false\n", 1).replace(
        "    validate:", "    exclude: {any: [{clusterRoles: [cluster-admin]}]}\n    validate:"
    )
    info = f"apiVersion: cli.kyverno.io/v1alpha1\nkind: UserInfo\nclusterRoles: [{role}]\n"
    suite = SUITE.replace("RESULT", expected) + "userinfo: user.yaml\n"
    files: dict[str, str | bytes] = {"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:latest")}
    assert run(repository({**files, "user.yaml": info, "kyverno-test.yaml": suite})) == [outcome]


IMAGE_POLICY = POLICY.partition("    validate:")[0] + (
    "    validate: {message: m, foreach: [{list: request.object.spec.containers,"
    " context: [{name: image, imageRegistry: {reference: '{{ element.image }}'}}], deny: {conditions: {any: ["
    "{key: '{{ image.configData.config.User }}', operator: Equals, value: ''}]}}}]}\n"
)
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA1R0QvpaTtfLdZ3hphHykMsDr7+Z
WedmwLbCvK8zi6ZR7tcSjNq2dZn8GzWgdMB4+bCmRrJkdDP9W7FUr2NjWg==
-----END PUBLIC KEY-----
"""
VERIFYING_POLICY = POLICY.partition("    validate:")[0] + (
    f"    verifyImages: [{{imageReferences: ['*'], attestors: [{{entries: [{{keys: {{publicKeys: {PUBLIC_KEY!r}}}}}]}}]}}]\n"
).replace(repr(PUBLIC_KEY), orjson.dumps(PUBLIC_KEY).decode())
IMAGE_VALUES = """\
apiVersion: cli.kyverno.io/v1alpha1
kind: Values
policies:
- name: images
  rules: [{name: pinned, values: {image.configData.config.User: root}}]
"""


@pytest.mark.parametrize("policy", [IMAGE_POLICY, VERIFYING_POLICY])
@pytest.mark.parametrize("expected", ["pass", "fail"])
def test_data_of_images_is_not_guessed(repository: Repository, policy: str, expected: str) -> None:
    """Whatever the suite expects: without the registry, images are neither verified nor unverified."""
    suite = SUITE.replace("RESULT", expected)
    outcomes = run(
        repository({"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "example.com/web:1"), "kyverno-test.yaml": suite})
    )
    assert outcomes and {one[:2] for one in outcomes} == {
        (False, "it needs the registry of the images, and tests open no connection")
    }


def test_values_stand_for_data_of_images(repository: Repository) -> None:
    suite = SUITE.replace("RESULT", "pass") + "variables: values.yaml\n"
    files: dict[str, str | bytes] = {"p.yaml": IMAGE_POLICY, "o.yaml": POD.replace("IMAGE", "example.com/web:1")}
    assert run(repository({**files, "values.yaml": IMAGE_VALUES, "kyverno-test.yaml": suite})) == [(True, "", "")]


def test_a_result_that_does_not_exist_has_a_reason(repository: Repository) -> None:
    suite = SUITE.replace("RESULT", "pass").replace("policy: images", "policy: missing")
    [(passed, error, message)] = run(
        repository({"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:1"), "kyverno-test.yaml": suite})
    )
    assert (passed, error) == (False, "") and message.startswith("Not found: Kyverno has no result for a policy, rule")


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
