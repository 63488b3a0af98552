"""Values of Secrets appear in no output about Kyverno policies, whatever the policies write."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.conftest import Repository, command, judge, needs
from tests.engines.admission.kyverno.test_cel_policies import POLICY as CEL_POLICY
from tests.engines.admission.kyverno.test_evaluator import POLICY, rule

pytestmark = needs("gatekeeper-kyverno")
PASSWORD, ENCODED = "Tr0ub4dor-and-3", "VHIwdWI0ZG9yLWFuZC0z"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: b}}\ndata: {{password: {ENCODED}}}\n"
PLAIN = SECRET.replace("\ndata:", "\nstringData:").replace(ENCODED, PASSWORD)
CONDITION = "deny: {conditions: [{key: a, operator: Equals, value: a}]}"


def build_classic(body: str) -> str:
    return rule(f"    {body}\n").replace("kinds: [Pod]", "kinds: [Secret]")


def build_cel(validation: str) -> str:
    head = CEL_POLICY.partition("  - expression")[0].replace("resources: [pods]", "resources: [secrets]")
    return f"{head}  - {validation}\n"


def build_mutating(text: str) -> str:
    patch = f"{{metadata: {{annotations: {{copy: '{text}'}}}}}}"
    return build_classic(f"mutate: {{patchStrategicMerge: {patch}}}").replace("images", "copies")


MUTATING_CEL = """\
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: copies}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: "Object{metadata: Object.metadata{annotations: {'copy': EXPRESSION}}}"
"""
# Repeats an annotation that only a mutating rule has written.
REPEATING = build_classic(
    f"validate: {{message: 'has {{{{ request.object.metadata.annotations.copy }}}}', {CONDITION}}}"
)
POLICIES = {
    "message": build_classic(f"validate: {{message: '{{{{ request.object.data.password }}}} is weak', {CONDITION}}}"),
    "decoded message": build_classic(
        f"validate: {{message: '{{{{ base64_decode(request.object.data.password) }}}}', {CONDITION}}}"
    ),
    "changed message": build_classic(
        "validate: {message: '{{ base64_decode(request.object.data.password) | to_upper(@) | truncate(@, `9`) }}', "
        f"{CONDITION}}}"
    ),
    "variable": build_classic(
        "context: [{name: text, variable: {jmesPath: 'request.object.data.password'}}]\n"
        f"    validate: {{message: '{{{{ text }}}}', {CONDITION}}}"
    ),
    "object": build_classic(f"validate: {{message: '{{{{ to_string(request.object) }}}}', {CONDITION}}}"),
    "pattern": build_classic(f"validate: {{message: m, pattern: {{data: {{password: '!{ENCODED[:6]}*'}}}}}}"),
    "error": build_classic(
        "validate: {message: m, deny: {conditions: [{key: '{{ parse_json(base64_decode(request.object.data.password))"
        " }}', operator: Equals, value: a}]}}"
    ),
    "time": build_classic(
        "validate: {message: m, deny: {conditions: [{key: '{{ time_add(base64_decode(request.object.data.password),"
        " ''1h'') }}', operator: Equals, value: a}]}}"
    ),
    "loop": build_classic(
        "validate: {message: m, foreach: [{list: 'values(request.object.data)', deny: {conditions: [{key: "
        "'{{ parse_json(element) }}', operator: Equals, value: '{{ element }}'}]}}]}"
    ),
    "cel rule": build_classic(
        "validate: {cel: {expressions: [{expression: 'false', messageExpression: 'object.data.password'}]}}"
    ),
    "cel message": build_cel("{expression: 'false', messageExpression: \"'it is ' + object.data.password\"}"),
    "cel decoded": build_cel(
        "{expression: 'false', messageExpression: 'string(base64.decode(object.data.password)).upperAscii()'}"
    ),
    "cel error": build_cel("{expression: int(string(base64.decode(object.data.password))) > 0}"),
    "cel quantity": build_cel("{expression: quantity(object.data.password).isInteger()}"),
    "cel timestamp": build_cel("{expression: timestamp(object.data.password) > timestamp('2020-01-01T00:00:00Z')}"),
    "mutation": f"{build_mutating('{{ base64_decode(request.object.data.password) }}')}---\n{REPEATING}",
    "failing mutation": build_mutating("{{ time_add(base64_decode(request.object.data.password), ''1h'') }}"),
    "cel mutation": f"{MUTATING_CEL.replace('EXPRESSION', 'object.data.password')}---\n{REPEATING}",
    "failing cel mutation": MUTATING_CEL.replace("EXPRESSION", "string(duration(object.data.password))"),
}


def describe(root: Path) -> str:
    """The decision, and everything that a report shows of findings and gaps."""
    verdict = judge(root)
    findings = [(one.rule, one.message, one.hint, one.field_path) for one in verdict.findings]
    return f"{verdict.decision} {findings} {verdict.coverage.gaps}"


def assert_hidden(text: str) -> None:
    lower = text.lower()
    for value in (PASSWORD, ENCODED):
        assert not any(value[start : start + 6].lower() in lower for start in range(len(value) - 5)), text


@pytest.mark.parametrize("name", POLICIES)
def test_no_finding_or_gap_has_a_value(repository: Repository, name: str) -> None:
    config = "library: {profile: 'off'}\npolicies: {mutate: apply}\n"
    text = describe(repository({"gatekeeper.yaml": config, "p.yaml": POLICIES[name], "s.yaml": SECRET}))
    assert "accepted" not in text and any(policy in text for policy in ("images", "copies", "labels")), text
    assert_hidden(text)


@pytest.mark.parametrize("name", POLICIES)
def test_no_finding_or_gap_has_a_value_of_plain_text(repository: Repository, name: str) -> None:
    policy = POLICIES[name].replace("base64_decode(request.object.data.password)", "request.object.stringData.password")
    policy = policy.replace("string(base64.decode(object.data.password))", "object.stringData.password")
    policy = policy.replace("object.data", "object.stringData")
    root = repository({"gatekeeper.yaml": "policies: {mutate: apply}\n", "p.yaml": policy, "s.yaml": PLAIN})
    assert_hidden(describe(root))


@pytest.mark.parametrize("report", ["text", "json", "sarif"])
def test_no_report_shows_a_value(repository: Repository, report: str) -> None:
    root = repository({"p.yaml": POLICIES["decoded message"], "e.yaml": POLICIES["cel error"], "s.yaml": SECRET})
    status, out, err = command("check", "--format", report, root)
    assert status == 3 and "images/pinned" in out and "labels" in out + err
    assert_hidden(out + err)


@pytest.mark.parametrize("expected", ["pass", "fail"])
def test_tests_of_policies_show_no_value(repository: Repository, expected: str) -> None:
    suite = (
        "apiVersion: cli.kyverno.io/v1alpha1\nkind: Test\nmetadata: {name: t}\npolicies: [p.yaml]\nresources: [s.yaml]\n"
        f"results:\n- {{policy: images, rule: pinned, resources: [a], kind: Secret, result: {expected}}}\n"
    )
    root = repository({"t/kyverno-test.yaml": suite, "t/p.yaml": POLICIES["decoded message"], "t/s.yaml": SECRET})
    status, out, err = command("policy", "test", "--junit", "results.xml", "t", cwd=root)
    assert status == (0 if expected == "fail" else 1), out + err
    assert_hidden(out + err + (root / "results.xml").read_text())


def test_a_message_without_values_is_complete(repository: Repository) -> None:
    text = "rotate the Secret {{ request.object.metadata.name }} of {{ request.namespace }}"
    root = repository({"p.yaml": build_classic(f"validate: {{message: '{text}', {CONDITION}}}"), "s.yaml": SECRET})
    findings = orjson.loads(command("check", "--format", "json", root)[1])["findings"]
    assert "rotate the Secret a of b" in [one["message"] for one in findings if one["rule"] == "images/pinned"]
    assert POLICY.startswith("apiVersion")
