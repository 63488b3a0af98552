"""Whether an object is in a namespace, and in which, is decided by its kind and by what applies it."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge, rules

TEMPLATE = """\
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: never}
spec:
  crd: {spec: {names: {kind: Never}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package never
      violation[{"msg": "never"}] { true }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: Never
metadata: {name: now}
spec:
  match: MATCH
"""
VAP = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: never}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: [RESOURCE], scope: SCOPE}
  validations: [{expression: "EXPRESSION"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: never}
spec: {policyName: never, validationActions: [Deny]}
"""
KYVERNO = """\
apiVersion: kyverno.io/v1
kind: POLICY
metadata: {name: never}
spec:
  validationFailureAction: Enforce
  background: true
  rules:
  - name: now
    match: {any: [{resources: MATCH}]}
    validate: {message: never, deny: {}}
"""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: b}\nrules: []\n"
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  names: {kind: Shop, plural: shops}
  scope: SCOPE
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
SHOP = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: a}\n"
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: app, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://git.example.com/a.git", path: apps, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: shop}
"""


def is_refused(repository: Repository, rule: str, files: dict[str, str | bytes]) -> bool:
    """Whether the policy was evaluated for the object, which every policy here refuses."""
    verdict = judge(repository(files))
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return rule in rules(verdict)


@pytest.mark.parametrize(
    ("scope", "value", "expected"),
    [
        ("Namespaced", CONFIG_MAP, True),
        ("Cluster", CONFIG_MAP, False),
        ("Namespaced", ROLE, False),
        ("Cluster", ROLE, True),
        ("Namespaced", CRD.replace("SCOPE", "Namespaced") + "---\n" + SHOP, True),
        ("Cluster", CRD.replace("SCOPE", "Namespaced") + "---\n" + SHOP, False),
        ("Namespaced", CRD.replace("SCOPE", "Cluster") + "---\n" + SHOP, False),
        ("Cluster", CRD.replace("SCOPE", "Cluster") + "---\n" + SHOP, True),
    ],
)
def test_scope_is_that_of_the_kind(repository: Repository, scope: str, value: str, expected: bool) -> None:
    kind = value.rpartition("kind: ")[2].partition("\n")[0]
    match = f"{{scope: {scope}, kinds: [{{apiGroups: ['*'], kinds: [{kind}]}}]}}"
    files: dict[str, str | bytes] = {"p.yaml": TEMPLATE.replace("MATCH", match), "a.yaml": value}
    assert is_refused(repository, "Never/now", files) is expected
    plural = f"{kind.lower()}s"
    policy = VAP.replace("RESOURCE", plural).replace("SCOPE", scope).replace("EXPRESSION", "false")
    assert is_refused(repository, "ValidatingAdmissionPolicy/never", {"p.yaml": policy, "a.yaml": value}) is expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{namespaces: [default]}", True),
        ("{namespaces: [other]}", False),
        ("{excludedNamespaces: [default]}", False),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}", True),
        (
            "{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [default]}]}}",
            False,
        ),
    ],
)
def test_an_object_without_a_namespace_is_in_default(repository: Repository, match: str, expected: bool) -> None:
    match = match.replace("{", "{kinds: [{apiGroups: [''], kinds: [ConfigMap]}], ", 1)
    files: dict[str, str | bytes] = {"p.yaml": TEMPLATE.replace("MATCH", match), "a.yaml": CONFIG_MAP}
    assert is_refused(repository, "Never/now", files) is expected


@pytest.mark.parametrize(
    ("policy", "match", "expected"),
    [
        ("ClusterPolicy", "{kinds: [ConfigMap], namespaces: [default]}", True),
        ("ClusterPolicy", "{kinds: [ConfigMap], namespaces: [other]}", False),
        ("Policy", "{kinds: [ConfigMap]}", True),
        (
            "ClusterPolicy",
            "{kinds: [ConfigMap], namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}",
            True,
        ),
    ],
)
def test_kyverno_finds_the_object_in_default(repository: Repository, policy: str, match: str, expected: bool) -> None:
    files: dict[str, str | bytes] = {
        "p.yaml": KYVERNO.replace("POLICY", policy).replace("MATCH", match),
        "a.yaml": CONFIG_MAP,
    }
    assert is_refused(repository, "never/now", files) is expected


@pytest.mark.parametrize("namespace", ["default", "other"])
def test_expressions_see_the_namespace_that_the_api_server_fills_in(repository: Repository, namespace: str) -> None:
    expression = f"object.metadata.namespace != '{namespace}' || request.namespace != '{namespace}'"
    policy = VAP.replace("RESOURCE", "configmaps").replace("SCOPE", "'*'").replace("EXPRESSION", expression)
    refused = is_refused(repository, "ValidatingAdmissionPolicy/never", {"p.yaml": policy, "a.yaml": CONFIG_MAP})
    assert refused is (namespace == "default")


def test_a_finding_names_the_object_as_its_file_does(repository: Repository) -> None:
    policy = TEMPLATE.replace("MATCH", "{kinds: [{apiGroups: [''], kinds: [ConfigMap]}]}")
    verdict = judge(repository({"p.yaml": policy, "a.yaml": CONFIG_MAP}))
    [finding] = [finding for finding in verdict.findings if finding.rule == "Never/now"]
    assert str(finding.resource_ref) == "ConfigMap a" and finding.location.file == "a.yaml"


@pytest.mark.parametrize("folder", ["plain", "kustomization", "chart"])
@pytest.mark.parametrize(("namespace", "expected"), [("shop", True), ("default", False)])
def test_the_namespace_is_that_of_the_application(
    repository: Repository, folder: str, namespace: str, expected: bool
) -> None:
    match = f"{{namespaces: [{namespace}], kinds: [{{apiGroups: [''], kinds: [ConfigMap]}}]}}"
    files: dict[str, str | bytes] = {"p.yaml": TEMPLATE.replace("MATCH", match), "app.yaml": APPLICATION}
    if folder == "plain":
        files["apps/a.yaml"] = CONFIG_MAP
    elif folder == "kustomization":
        files |= {"apps/a.yaml": CONFIG_MAP, "apps/kustomization.yaml": "resources: [a.yaml]\n"}
    else:
        files |= {"apps/Chart.yaml": CHART, "apps/templates/a.yaml": CONFIG_MAP}
    assert is_refused(repository, "Never/now", files) is expected


def test_the_scope_of_an_unknown_kind_is_not_guessed(repository: Repository) -> None:
    config = "library: {profile: 'off'}\nschemas: {allowMissing: [Shop]}\n"
    match = "{scope: Namespaced, kinds: [{apiGroups: ['*'], kinds: [Shop]}]}"
    verdict = judge(repository({"gatekeeper.yaml": config, "p.yaml": TEMPLATE.replace("MATCH", match), "a.yaml": SHOP}))
    assert verdict.decision == "incomplete"
    assert any("nothing says whether Shop" in gap.reason for gap in verdict.coverage.gaps)
    match = match.replace("scope: Namespaced, ", "")
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": config,
        "p.yaml": TEMPLATE.replace("MATCH", match),
        "a.yaml": SHOP,
    }
    assert is_refused(repository, "Never/now", files)
