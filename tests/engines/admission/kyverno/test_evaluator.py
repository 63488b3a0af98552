"""Rules of Kyverno policies, evaluated on the resources of a repository."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno.evaluator import find_path
from tests.conftest import Repository, judge, needs
from tests.gate.test_pipeline import DEPLOYMENT

pytestmark = needs("gatekeeper-kyverno")
POLICY = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: images}
spec:
  validationFailureAction: Enforce
  rules:
  - name: pinned
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      message: "image of {{ request.object.kind }} must be pinned"
      pattern:
        spec:
          containers:
          - image: "*:* & !*:latest"
"""
POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec:\n  containers:\n  - {name: c, image: IMAGE}\n"
)


def rule(body: str) -> str:
    return POLICY.partition("    validate:")[0] + body


def find(repository: Repository, policy: str, *objects: str) -> list[tuple[str, str, str, int | None]]:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(objects)}
    verdict = judge(repository({**files, "p.yaml": policy}))
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return [(one.rule, one.severity, one.message, one.location.line) for one in verdict.findings]


def test_a_mismatch_is_found_with_its_line(repository: Repository) -> None:
    expected = [("images/pinned", "error", "image of Pod must be pinned", 6)]
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"')) == expected
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:1.27"')) == []


def test_a_rule_for_pods_checks_the_templates_of_controllers(repository: Repository) -> None:
    assert find(repository, POLICY, DEPLOYMENT)[0][3] == 11
    alone = POLICY.replace(
        "{name: images}", "{name: i, annotations: {pod-policies.kyverno.io/autogen-controllers: none}}"
    )
    assert find(repository, alone, DEPLOYMENT) == []
    named = POLICY.replace("kinds: [Pod]", "kinds: [Pod], names: [w*]")
    assert find(repository, named, DEPLOYMENT) == []


def test_audit_is_a_warning_and_namespaces_can_override_it(repository: Repository) -> None:
    pod = POD.replace("IMAGE", '"nginx:latest"')
    audit = POLICY.replace("Enforce", "Audit")
    assert find(repository, audit, pod)[0][1] == "warning"
    own = audit.replace(
        "  rules:", "  validationFailureActionOverrides: [{action: Enforce, namespaces: [b]}]\n  rules:"
    )
    assert find(repository, own, pod)[0][1] == "error"


def test_one_of_several_patterns_is_enough(repository: Repository) -> None:
    policy = rule("    validate:\n      anyPattern: [{metadata: {name: x}}, {metadata: {namespace: 'b|c'}}]\n")
    assert find(repository, policy, POD) == []
    assert len(find(repository, policy.replace("'b|c'", "'c|d'"), POD)) == 1


def test_deny_evaluates_conditions(repository: Repository) -> None:
    policy = rule(
        '    preconditions: {all: [{key: "{{ request.operation }}", operator: Equals, value: CREATE}]}\n'
        "    validate:\n      message: never\n      deny:\n        conditions:\n          any:\n"
        "          - {key: \"{{ request.object.spec.containers[].image }}\", operator: AnyIn, value: ['*:latest']}\n"
    )
    assert len(find(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))) == 1
    assert find(repository, policy, POD.replace("IMAGE", '"nginx:1.27"')) == []
    assert (
        find(repository, policy.replace("value: CREATE", "value: DELETE"), POD.replace("IMAGE", '"nginx:latest"')) == []
    )


def test_cel_expressions_are_evaluated(repository: Repository) -> None:
    policy = rule(
        "    validate:\n      cel:\n        expressions:\n"
        "        - expression: \"object.spec.containers.all(c, !c.image.endsWith(':latest'))\"\n          message: pin it\n"
    )
    assert [one[2:] for one in find(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))] == [("pin it", 6)]


def test_a_policy_exception_of_the_repository_applies(repository: Repository) -> None:
    exception = (
        "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: b}\n"
        "spec:\n  exceptions: [{policyName: images, ruleNames: [pinned]}]\n"
        "  match: {any: [{resources: {kinds: [Pod], names: [a]}}]}\n"
    )
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"'), exception) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("    context: [{name: a, apiCall: {urlPath: /x}}]\n    validate: {pattern: {}}\n", "makes an API call"),
        ("    context: [{name: a, globalReference: {name: x}}]\n    validate: {pattern: {}}\n", "GlobalContextEntry"),
        ("    context: [{name: a, imageRegistry: {reference: x}}]\n    validate: {pattern: {}}\n", "image registry"),
        (
            "    validate: {foreach: [{list: x, context: [{name: a, apiCall: {urlPath: /x}}], pattern: {a: b}}]}\n",
            "makes an API call",
        ),
        ("    verifyImages: [{imageReferences: ['*']}]\n", "`verifyImages` is not supported"),
        ("    validate: {pattern: {metadata: {name: $(../x)}}}\n", "got nil resolved variable $(../x)"),
        ("    validate: {pattern: {metadata: {+(name): x}}}\n", "unsupported anchor +(name)"),
        ("    validate: {deny: {conditions: [{key: '{{ images.a }}', operator: Equals, value: 1}]}}\n", "images.a"),
        ("    validate: {deny: {conditions: [{key: '{{ x509(@) }}', operator: Equals, value: 1}]}}\n", "x509"),
        ("    validate: {deny: {conditions: [{key: a, operator: Like, value: 1}]}}\n", '["AllIn" "AllNotIn" "AnyIn"'),
        (
            "    validate: {deny: {conditions: [{key: '{{ request.object.x }}', operator: Equals, value: 1}]}}\n",
            'Unknown key "x"',
        ),
        (
            "    validate: {deny: {conditions: [{key: '{{ serviceAccountName }}', operator: Equals, value: 1}]}}\n",
            "it reads `serviceAccountName`, which is known only in the cluster",
        ),
        ("    validate: {}\n", "one of pattern, anyPattern, deny, foreach, cel must be specified"),
        ("    skip: 1\n    validate: {pattern: {}}\n", "skip"),
        (
            "    validate: {manifests: {attestors: [{entries: [{keyless: {issuer: a, subject: b}}]}]}}\n",
            "`attestors.entries.keys.publicKeys` only",
        ),
    ],
)
def test_what_only_the_cluster_can_decide_is_a_fatal_gap(repository: Repository, body: str, reason: str) -> None:
    policy = rule(body).replace("spec:\n", "spec:\n  background: false\n", 1)
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "incomplete"
    assert any(reason in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_a_refused_rule_does_not_keep_the_others_from_judging(repository: Repository) -> None:
    refused = "  - name: users\n    match: {any: [{resources: {kinds: [Pod]}, subjects: [{kind: User, name: a}]}]}\n    validate: {pattern: {metadata: {name: a}}}\n"
    verdict = judge(
        repository(
            {
                "p.yaml": (POLICY + refused).replace("spec:\n", "spec:\n  background: false\n", 1),
                "o.yaml": POD.replace("IMAGE", "a:latest"),
            }
        )
    )
    assert [finding.rule for finding in verdict.findings if finding.rule.startswith("images/")] == ["images/pinned"]
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert "rule images/users: `match` by subjects, roles or clusterRoles is not supported" in gap.reason


def test_an_exclusion_for_a_user_does_not_hold(repository: Repository) -> None:
    excluding = POLICY.replace(
        "    validate:",
        "    exclude: {any: [{clusterRoles: [cluster-admin]}, {subjects: [{kind: User, name: a}]}]}\n    validate:",
    )
    excluding = excluding.replace("spec:\n", "spec:\n  background: false\n", 1)
    assert len(find(repository, excluding, POD.replace("IMAGE", "a:latest"))) == 1


def test_each_element_of_a_list_is_judged(repository: Repository) -> None:
    policy = rule(
        "    validate:\n      message: latest\n      foreach:\n"
        "      - list: request.object.spec.containers\n        deny:\n          conditions:\n"
        "          - {key: '{{ element.image }}', operator: AnyIn, value: ['*:latest']}\n"
    )
    expected = [("images/pinned", "error", "latest", 6)]
    assert find(repository, policy, POD.replace("IMAGE", "a:latest")) == expected
    assert find(repository, policy, POD.replace("IMAGE", "a:1")) == []


def test_pod_security_is_judged_without_the_excluded_controls(repository: Repository) -> None:
    pod = POD.replace("image: IMAGE", "image: a:1, securityContext: {privileged: true}")
    policy = rule("    validate: {podSecurity: {level: baseline, version: latest}}\n")
    [found] = find(repository, policy, pod)
    assert 'It violates PodSecurity "baseline:latest"' in found[2] and found[3] == 6
    excluded = policy.replace("latest}", "latest, exclude: [{controlName: Privileged Containers, images: ['*']}]}")
    assert find(repository, excluded, pod) == []


def test_variables_and_config_maps_of_the_repository_are_context(repository: Repository) -> None:
    policy = rule(
        "    context:\n    - {name: allowed, configMap: {name: images, namespace: b}}\n"
        "    - {name: first, variable: {jmesPath: 'request.object.spec.containers[0].image'}}\n"
        "    validate:\n      message: not allowed\n      deny:\n        conditions:\n"
        "        - {key: '{{ first }}', operator: AnyNotIn, value: '{{ allowed.data.list }}'}\n"
    )
    images = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: images, namespace: b}\ndata: {list: '[\"a:1\"]'}\n"
    assert find(repository, policy, POD.replace("IMAGE", "a:1"), images) == []
    assert len(find(repository, policy, POD.replace("IMAGE", "a:2"), images)) == 1
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:1"), "0.yaml": b"", "1.yaml": b""}))
    assert verdict.decision == "incomplete"
    assert "the repository does not contain the ConfigMap b/images" in str(verdict.coverage.gaps)


def test_labels_of_a_namespace_that_the_repository_does_not_have_are_a_gap(repository: Repository) -> None:
    policy = POLICY.replace("kinds: [Pod]", "kinds: [Pod], namespaceSelector: {matchLabels: {tier: live}}")
    pod, namespace = (
        POD.replace("IMAGE", "a:latest"),
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: LABELS}\n",
    )
    assert len(find(repository, policy, pod, namespace.replace("LABELS", "{tier: live}"))) == 1
    assert find(repository, policy, pod, namespace.replace("LABELS", "{tier: test}")) == []
    verdict = judge(repository({"p.yaml": policy, "0.yaml": pod, "1.yaml": b""}))
    assert verdict.decision == "incomplete" and "labels of namespace `b`" in str(verdict.coverage.gaps)
    other = policy.replace("kinds: [Pod]", "kinds: [Service]")
    assert judge(repository({"p.yaml": other, "0.yaml": pod, "1.yaml": b""})).decision != "incomplete"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "    mutate: {patchStrategicMerge: {metadata: {labels: {a: b}}}}\n",
            "rule images/pinned would mutate resources",
        ),
        (
            "    generate: {apiVersion: v1, kind: ConfigMap, name: a, namespace: b, data: {data: {c: d}}}\n",
            "rule images/pinned would generate resources",
        ),
    ],
)
def test_rules_that_change_or_add_objects_are_noted(repository: Repository, body: str, words: str) -> None:
    verdict = judge(repository({"p.yaml": rule(body), "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "accepted", verdict.coverage.gaps
    assert words in str(verdict.coverage.gaps)


def test_a_policy_of_a_namespace_judges_only_that_namespace(repository: Repository) -> None:
    policy = POLICY.replace("kind: ClusterPolicy", "kind: Policy").replace(
        "{name: images}", "{name: images, namespace: NAME}"
    )
    pod = POD.replace("IMAGE", "a:latest")
    assert [len(find(repository, policy.replace("NAME", name), pod)) for name in ("b", "c")] == [1, 0]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/spec/containers/0/image/", ("spec", "containers", 0, "image")),
        ("/metadata/annotations/a.b/c/", ("metadata", "annotations", "a.b/c")),
        ("/metadata/labels/missing/", ("metadata", "labels", "missing")),
        ("/spec/containers/7/image/", ("spec", "containers", 7, "image")),
        ("/", ("",)),
    ],
)
def test_paths_of_kyverno_lead_to_fields(path: str, fields: tuple[str | int, ...]) -> None:
    value = {"metadata": {"annotations": {"a.b/c": "1"}}, "spec": {"containers": [{"image": "x"}]}}
    assert find_path(value, path) == fields
