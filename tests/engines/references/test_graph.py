"""References to missing objects and keys, and dependency cycles."""

from __future__ import annotations

import pytest

from tests.conftest import SHARED, Repository, command, judge, needs, shared
from tests.engines.references.objects import EVERYTHING, POD, find_faults, secret
from tests.engines.references.test_service_selectors import SERVICE


def test_each_missing_object_is_found_at_its_reference(repository: Repository) -> None:
    missing = {(finding.location.line, finding.message.split(" in ")[0]) for finding in find_faults(repository, POD)}
    assert missing == {
        (5, "Secret pull"),
        (10, "Secret all"),
        (11, "ConfigMap settings"),
        (14, "Secret db"),
        (16, "ConfigMap settings"),
        (21, "Secret files"),
        (23, "ConfigMap projected"),
    }


def test_existing_objects_are_not_findings(repository: Repository) -> None:
    assert find_faults(repository, POD, EVERYTHING) == []


def test_an_object_of_another_namespace_does_not_count_but_one_without_namespace_does(repository: Repository) -> None:
    other = EVERYTHING.replace(secret("db", "password"), secret("db", "password", namespace="test"))
    assert [finding.message.split(" is")[0] for finding in find_faults(repository, POD, other)] == [
        "Secret db in namespace prod"
    ]
    assert find_faults(repository, POD, EVERYTHING.replace(", namespace: prod", "")) == []


def test_a_missing_key_is_found(repository: Repository) -> None:
    [finding] = find_faults(repository, POD, EVERYTHING.replace("password", "pass"))
    assert (finding.rule, finding.location.line) == ("references/key", 14)
    assert finding.message == "Secret db in namespace prod has no key `password`"


SEALED = "---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: prod}\nspec:\n  encryptedData: {password: AgAA}\n"
EXTERNAL = """---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: x, namespace: prod}
spec:
  secretStoreRef: {name: vault, kind: ClusterSecretStore}
  target: {name: db}
  data: [{secretKey: password, remoteRef: {key: a}}]
"""
STORE = "---\napiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {fake: {data: []}}}\n"
CERTIFICATE = "---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c, namespace: prod}\nspec: {secretName: db, issuerRef: {name: i}}\n"


@pytest.mark.parametrize("provider", [SEALED, EXTERNAL + STORE, CERTIFICATE], ids=["sealed", "fetched", "issued"])
def test_controllers_provide_secrets(repository: Repository, provider: str) -> None:
    assert find_faults(repository, POD, EVERYTHING.replace(secret("db", "password"), "") + provider) == []


@pytest.mark.parametrize("provider", [SEALED, EXTERNAL + STORE], ids=["sealed", "fetched"])
def test_the_keys_of_provided_secrets_are_known(repository: Repository, provider: str) -> None:
    rest = EVERYTHING.replace(secret("db", "password"), "")
    assert [one.rule for one in find_faults(repository, POD, rest, provider.replace("password", "pass"))] == [
        "references/key"
    ]


def test_a_missing_store_is_found(repository: Repository) -> None:
    [finding] = find_faults(repository, EXTERNAL)
    assert finding.message == "ClusterSecretStore vault is referenced, but nothing in the repository provides it"
    assert finding.location.line == 6


def test_a_chart_from_elsewhere_may_provide_the_object(repository: Repository) -> None:
    release = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: flux-system}\n"
        "spec: {interval: 1m, targetNamespace: prod, chart: {spec: {chart: c, sourceRef: {kind: HelmRepository, name: h}}}}\n"
    )
    source = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: h, namespace: flux-system}\nspec: {url: 'https://x'}\n"
    assert find_faults(repository, POD, release + source) == []


def test_the_config_allows_objects_that_no_file_shows(repository: Repository) -> None:
    allowed = "references: {allow: ['Secret/prod/*', 'ConfigMap/*/projected']}\n"
    assert {finding.message.split(" in ")[0] for finding in find_faults(repository, POD, config=allowed)} == {
        "ConfigMap settings"
    }


FLUX = "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 1m\n  prune: true\n  path: ./x\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n  dependsOn: [{{name: {wants}}}]\n"


def test_a_missing_dependency_is_found(repository: Repository) -> None:
    rules = {
        (finding.severity, finding.message.split(" in ")[0])
        for finding in find_faults(repository, FLUX.format(name="a", wants="b"))
    }
    assert rules == {("error", "Kustomization b")}


def test_a_dependency_cycle_is_reported_once_with_its_path(repository: Repository) -> None:
    texts = [FLUX.format(name=name, wants=wants) for name, wants in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))]
    [circle] = [finding for finding in find_faults(repository, "".join(texts)) if finding.rule == "references/circle"]
    assert circle.message == "dependency cycle: a → b → c → a"
    assert (circle.location.file, circle.location.line) == ("0.yaml", 10)


@needs("gatekeeper-upstream")
def test_a_generated_config_map_exists_under_its_new_name(repository: Repository) -> None:
    root = repository(
        {
            "gatekeeper.yaml": "library: {profile: 'off'}\n",
            "kustomization.yaml": "namespace: prod\nresources: [pod.yaml]\nconfigMapGenerator: [{name: m, literals: [a=b]}]\n",
            "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'c:1', envFrom: [{configMapRef: {name: m}}]}\n",
        }
    )
    assert judge(root).findings == ()


def test_nothing_is_missing_where_a_file_cannot_be_read(repository: Repository) -> None:
    assert find_faults(repository, POD, "a: [1\n") == []


def test_a_part_of_a_repository_has_no_missing_objects(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "a/pod.yaml": POD, "b/all.yaml": EVERYTHING})
    assert command("check", root / "a")[0] == 0
    assert command("check", root)[0] == 0


@shared("article")
@needs("gatekeeper-upstream")
def test_missing_objects_of_the_article_are_found() -> None:
    told = {finding.message.split(" is referenced")[0] for finding in judge(SHARED / "article").findings}
    assert {
        "Secret github-credentials in namespace flux-system",
        "ClusterSecretStore vault-backend",
        "GitRepository flux-system in namespace flux-system",
    } <= told


def test_an_ingress_refers_to_a_service_and_an_autoscaler_to_a_workload(repository: Repository) -> None:
    ingress = (
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: prod}\nspec:\n"
        "  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}]}}]\n"
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: prod}\n"
        "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}}\n"
    )
    there = SERVICE.replace("LABEL", "web")
    assert find_faults(repository, there + ingress.replace("NAME", "web")) == []
    messages = [one.message for one in find_faults(repository, there + ingress.replace("NAME", "wbe"))]
    assert [message.split(" is referenced")[0] for message in messages] == [
        "Service wbe in namespace prod",
        "Deployment wbe in namespace prod",
    ]
