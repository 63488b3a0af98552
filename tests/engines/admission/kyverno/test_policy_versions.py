"""Each kind of `policies.kyverno.io` in each version that Kyverno 1.19 serves: judged, applied, noted or refused."""

from __future__ import annotations

import pytest

from gatekeeper.model import Verdict
from tests.conftest import Repository, judge, needs

pytestmark = needs("gatekeeper-kyverno")
VERSIONS, NAMESPACED_VERSIONS = ("v1alpha1", "v1beta1", "v1"), ("v1beta1", "v1")
MATCH = """\
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
"""
VALIDATION = "  validationActions: [Deny]\n  validations: [{expression: 'has(object.metadata.labels)', message: m}]\n"
MUTATION = """\
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'team': 'web'}}}"}
"""
PATCH = """\
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'team': 'web'}}]"}
"""
EXCEPTION = """\
apiVersion: policies.kyverno.io/VERSION
kind: PolicyException
metadata: {name: e, namespace: b}
spec:
  policyRefs: [{name: p, kind: KIND}]
  matchConditions: [{name: c, expression: object.metadata.name == 'a'}]
"""
# Refuses a Pod without labels.
JUDGE = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: judging}
spec:
  validationFailureAction: Enforce
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod, Deployment]}}]}
    validate: {message: m, pattern: {=(spec): {=(template): {metadata: {labels: {team: web}}}, =(containers): []}}}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec: {containers: [{name: c, image: 'a:1'}]}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: b}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: 'a:1'}]}}
"""


def list_kinds(suffix: str) -> list[tuple[str, str]]:
    return [(f"{suffix}", version) for version in VERSIONS] + [
        (f"Namespaced{suffix}", version) for version in NAMESPACED_VERSIONS
    ]


def build(kind: str, version: str, body: str, namespace: str = "b") -> str:
    place = f", namespace: {namespace}" if kind.startswith("Namespaced") else ""
    return f"apiVersion: policies.kyverno.io/{version}\nkind: {kind}\nmetadata: {{name: p{place}}}\nspec:\n{body}"


def check(repository: Repository, *texts: str, mutate: str = "apply") -> Verdict:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(texts)}
    config = f"library: {{profile: 'off'}}\npolicies: {{mutate: {mutate}}}\n"
    return judge(repository({**files, "o.yaml": POD, "gatekeeper.yaml": config}))


def is_refused(verdict: Verdict, rule: str) -> bool:
    """Whether the rule refuses the Pod; nothing may be missing."""
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return rule in [one.rule for one in verdict.findings]


@pytest.mark.parametrize(("kind", "version"), list_kinds("ValidatingPolicy"))
def test_validating_policies(repository: Repository, kind: str, version: str) -> None:
    policy = build(kind, version, MATCH + VALIDATION)
    assert is_refused(check(repository, policy), f"{kind}/p")
    conditions = "  matchConditions: [{name: c, expression: object.metadata.name != 'a'}]\n"
    assert not is_refused(check(repository, build(kind, version, MATCH + conditions + VALIDATION)), f"{kind}/p")
    if kind.startswith("Namespaced"):
        other = build(kind, version, MATCH + VALIDATION, "other")
        assert not is_refused(check(repository, other), f"{kind}/p")


@pytest.mark.parametrize("mutation", [MUTATION, PATCH])
@pytest.mark.parametrize(("kind", "version"), list_kinds("MutatingPolicy"))
def test_mutating_policies(repository: Repository, kind: str, version: str, mutation: str) -> None:
    judging = build("ValidatingPolicy", "v1", MATCH + VALIDATION).replace("name: p", "name: judging")
    policy = build(kind, version, MATCH + mutation)
    assert not is_refused(check(repository, policy, judging), "ValidatingPolicy/judging")
    noted = check(repository, policy, judging, mutate="note")
    assert is_refused(noted, "ValidatingPolicy/judging") and "would mutate resources" in str(noted.coverage.gaps)
    conditions = "  matchConditions: [{name: c, expression: object.metadata.name != 'a'}]\n"
    selective = build(kind, version, MATCH + conditions + mutation)
    assert is_refused(check(repository, selective, judging), "ValidatingPolicy/judging")
    disabled = build(kind, version, "  evaluation: {admission: {enabled: false}}\n" + MATCH + mutation)
    assert is_refused(check(repository, disabled, judging), "ValidatingPolicy/judging")
    if kind.startswith("Namespaced"):
        other = build(kind, version, MATCH + mutation, "other")
        assert is_refused(check(repository, other, judging), "ValidatingPolicy/judging")


def test_mutating_policies_for_pods_change_the_templates_of_controllers(repository: Repository) -> None:
    rules = (
        "    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]\n"
    )
    judging = (
        build("ValidatingPolicy", "v1", f"  matchConstraints:\n{rules}{VALIDATION}")
        .replace("has(object.metadata.labels)", "has(object.spec.template.spec.priorityClassName)")
        .replace("name: p", "name: judging")
    )
    applied = MUTATION.replace(
        "metadata: Object.metadata{labels: {'team': 'web'}}", "spec: Object.spec{priorityClassName: 'high'}"
    )
    policy = build("MutatingPolicy", "v1", MATCH + applied)
    assert not is_refused(check(repository, policy, judging, DEPLOYMENT), "ValidatingPolicy/judging")
    alone = build("MutatingPolicy", "v1", "  autogen: {podControllers: {controllers: []}}\n" + MATCH + applied)
    assert is_refused(check(repository, alone, judging, DEPLOYMENT), "ValidatingPolicy/judging")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["ValidatingPolicy", "NamespacedValidatingPolicy"])
def test_exceptions_until_they_expire(repository: Repository, kind: str, version: str) -> None:
    policy = build(kind, "v1", MATCH + VALIDATION)
    exception = EXCEPTION.replace("VERSION", version).replace("KIND", kind)
    assert not is_refused(check(repository, policy, exception), f"{kind}/p")
    assert is_refused(check(repository, policy, exception.replace("== 'a'", "== 'z'")), f"{kind}/p")
    for year, refused in (("2001", True), ("2999", False)):
        dated = exception.replace("spec:\n", f"spec:\n  expiresAt: {year}-01-01T00:00:00Z\n")
        assert is_refused(check(repository, policy, dated), f"{kind}/p") is refused


@pytest.mark.parametrize("version", VERSIONS)
def test_exceptions_of_mutating_policies(repository: Repository, version: str) -> None:
    judging = build("ValidatingPolicy", "v1", MATCH + VALIDATION).replace("name: p", "name: judging")
    policy = build("MutatingPolicy", "v1", MATCH + MUTATION)
    exception = EXCEPTION.replace("VERSION", version).replace("KIND", "MutatingPolicy")
    assert is_refused(check(repository, policy, judging, exception), "ValidatingPolicy/judging")


@pytest.mark.parametrize("version", ["v2beta1", "v2"])
def test_exceptions_of_classic_policies(repository: Repository, version: str) -> None:
    policy = JUDGE.replace(
        "{=(spec): {=(template): {metadata: {labels: {team: web}}}, =(containers): []}}", "{metadata: {name: z}}"
    )
    exception = (
        f"apiVersion: kyverno.io/{version}\nkind: PolicyException\nmetadata: {{name: e, namespace: b}}\n"
        "spec:\n  exceptions: [{policyName: judging, ruleNames: [r]}]\n"
        "  match: {any: [{resources: {kinds: [Pod], names: [NAME]}}]}\n"
        "  conditions: {all: [{key: '{{ request.object.metadata.namespace }}', operator: Equals, value: b}]}\n"
    )
    assert not is_refused(check(repository, policy, exception.replace("NAME", "a")), "judging/r")
    assert is_refused(check(repository, policy, exception.replace("NAME", "z")), "judging/r")


@pytest.mark.parametrize(
    ("api", "body", "reason"),
    [
        ("kyverno.io/v2alpha1", "exceptions: [{policyName: judging, ruleNames: [r]}]", "kyverno.io/v2alpha1"),
        ("policies.kyverno.io/v2", "policyRefs: [{name: judging, kind: ClusterPolicy}]", "policies.kyverno.io/v2"),
        ("kyverno.io/v2", "exceptions: [{policyName: judging, ruleNames: [r], rules: []}]", "rules"),
        ("kyverno.io/v2", "exceptions: [{policyName: judging}]", "ruleNames"),
    ],
)
def test_an_exception_that_the_api_server_refuses_has_no_effect(
    repository: Repository, api: str, body: str, reason: str
) -> None:
    match = "\n  match: {any: [{resources: {kinds: [Pod]}}]}" if api.startswith("kyverno.io") else ""
    exception = (
        f"apiVersion: {api}\nkind: PolicyException\nmetadata: {{name: e, namespace: b}}\nspec:\n  {body}{match}\n"
    )
    policy = JUDGE.partition("    validate:")[0] + "    validate: {message: m, deny: {}}\n"
    verdict = check(repository, policy, exception)
    assert "judging/r" in [one.rule for one in verdict.findings] and verdict.decision == "incomplete"
    assert any(
        "PolicyException/e" in gap.reason and reason in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal
    )


def test_classic_policies_in_another_served_version(repository: Repository) -> None:
    policy = JUDGE.partition("    validate:")[0] + "    validate: {message: m, deny: {}}\n"
    assert is_refused(check(repository, policy.replace("kyverno.io/v1", "kyverno.io/v2beta1")), "judging/r")
    verdict = check(repository, policy.replace("kyverno.io/v1", "kyverno.io/v2alpha1"))
    assert verdict.decision == "incomplete" and "kyverno.io/v2alpha1" in str(verdict.coverage.gaps)


@pytest.mark.parametrize(
    ("suffix", "body", "words"),
    [
        ("GeneratingPolicy", MATCH + "  generate: [{expression: 'generator.Apply(\"b\", [])'}]\n", "would generate"),
        ("DeletingPolicy", MATCH + '  schedule: "* * * * *"\n', "would delete resources"),
        (
            "MutatingPolicy",
            "  evaluation: {mutateExisting: {enabled: true}}\n" + MATCH + MUTATION,
            "would mutate existing resources",
        ),
    ],
)
def test_what_changes_the_cluster_is_noted(repository: Repository, suffix: str, body: str, words: str) -> None:
    for kind, version in list_kinds(suffix):
        verdict = check(repository, build(kind, version, body))
        assert verdict.decision == "accepted", (kind, version, verdict.coverage.gaps, verdict.findings)
        assert words in str(verdict.coverage.gaps), (kind, version)


@pytest.mark.parametrize(("kind", "version"), list_kinds("ImageValidatingPolicy"))
def test_what_needs_a_registry_is_refused(repository: Repository, kind: str, version: str) -> None:
    body = (
        "  matchImageReferences: [{glob: '*'}]\n  attestors: [{name: notary, notary: {certs: {value: c}}}]\n"
        "  validations: [{expression: 'false', message: m}]\n"
    )
    verdict = check(repository, build(kind, version, MATCH + body))
    assert verdict.decision == "incomplete"
    assert "it needs the registry of the images" in str([gap for gap in verdict.coverage.gaps if gap.is_fatal])
