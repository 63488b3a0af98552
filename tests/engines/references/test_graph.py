"""References: what is named and not there is told with its line; what something else may bring is not."""

from __future__ import annotations

import pytest

from gatekeeper.model import Finding
from tests.conftest import SHARED, Repository, command, judge, needs, shared

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: prod}
spec:
  imagePullSecrets: [{name: pull}]
  containers:
  - name: web
    image: web:1
    envFrom:
    - secretRef: {name: all}
    - configMapRef: {name: settings}
    env:
    - name: A
      valueFrom: {secretKeyRef: {name: db, key: password}}
    - name: B
      valueFrom: {configMapKeyRef: {name: settings, key: size}}
    - name: C
      valueFrom: {secretKeyRef: {name: never, key: x, optional: true}}
  volumes:
  - name: v
    secret: {secretName: files}
  - name: p
    projected: {sources: [{configMap: {name: projected}}]}
"""


def secret(name: str, *keys: str, namespace: str = "prod") -> str:
    values = "".join(f"  {key}: '${{VALUE}}'\n" for key in keys)
    return f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData:\n{values or '  {}'}\n"


def config_map(name: str, *keys: str, namespace: str = "prod") -> str:
    return secret(name, *keys, namespace=namespace).replace("Secret", "ConfigMap").replace("stringData", "data")


EVERYTHING = "".join([
    secret("pull", "x"), secret("all", "x"), secret("db", "password"), secret("files", "x"),
    config_map("settings", "size"), config_map("projected", "x"),
])  # fmt: skip


def found(repository: Repository, *texts: str, config: str = "") -> list[Finding]:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(texts)}
    verdict = judge(repository({**files, "gatekeeper.yaml": f"library: {{profile: 'off'}}\n{config}"}))
    return [finding for finding in verdict.findings if finding.rule.startswith("references/")]


def test_everything_that_is_named_is_missed(repository: Repository) -> None:
    missing = {(finding.place.line, finding.message.split(" in ")[0]) for finding in found(repository, POD)}
    assert missing == {
        (5, "Secret pull"), (10, "Secret all"), (11, "ConfigMap settings"), (14, "Secret db"), (16, "ConfigMap settings"),
        (21, "Secret files"), (23, "ConfigMap projected"),
    }  # fmt: skip


def test_what_is_there_is_no_finding(repository: Repository) -> None:
    assert found(repository, POD, EVERYTHING) == []


def test_another_namespace_does_not_count_and_none_at_all_does(repository: Repository) -> None:
    other = EVERYTHING.replace(secret("db", "password"), secret("db", "password", namespace="test"))
    assert [finding.message.split(" is")[0] for finding in found(repository, POD, other)] == [
        "Secret db in namespace prod"
    ]
    assert found(repository, POD, EVERYTHING.replace(", namespace: prod", "")) == []


def test_a_key_that_is_not_there_is_told(repository: Repository) -> None:
    [finding] = found(repository, POD, EVERYTHING.replace("password", "pass"))
    assert (finding.rule, finding.place.line) == ("references/key", 14)
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
def test_who_else_provides_a_secret(repository: Repository, provider: str) -> None:
    assert found(repository, POD, EVERYTHING.replace(secret("db", "password"), "") + provider) == []


@pytest.mark.parametrize("provider", [SEALED, EXTERNAL + STORE], ids=["sealed", "fetched"])
def test_their_keys_are_known_too(repository: Repository, provider: str) -> None:
    rest = EVERYTHING.replace(secret("db", "password"), "")
    assert [one.rule for one in found(repository, POD, rest, provider.replace("password", "pass"))] == [
        "references/key"
    ]


def test_a_store_that_is_not_there_is_told(repository: Repository) -> None:
    [finding] = found(repository, EXTERNAL)
    assert finding.message == "ClusterSecretStore vault is named, and nothing in the repository provides it"
    assert finding.place.line == 6


def test_a_chart_from_elsewhere_may_bring_what_is_named(repository: Repository) -> None:
    release = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: flux-system}\n"
        "spec: {interval: 1m, targetNamespace: prod, chart: {spec: {chart: c, sourceRef: {kind: HelmRepository, name: h}}}}\n"
    )
    source = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: h, namespace: flux-system}\nspec: {url: 'https://x'}\n"
    assert found(repository, POD, release + source) == []


def test_the_config_says_what_is_there(repository: Repository) -> None:
    allowed = "references: {allow: ['Secret/prod/*', 'ConfigMap/*/projected']}\n"
    assert {finding.message.split(" in ")[0] for finding in found(repository, POD, config=allowed)} == {
        "ConfigMap settings"
    }


FLUX = "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 1m\n  prune: true\n  path: ./x\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n  dependsOn: [{{name: {wants}}}]\n"


def test_a_dependency_that_is_not_there_is_told(repository: Repository) -> None:
    rules = {
        (finding.severity, finding.message.split(" in ")[0])
        for finding in found(repository, FLUX.format(name="a", wants="b"))
    }
    assert rules == {("error", "Kustomization b"), ("warning", "GitRepository flux-system")}


def test_a_circle_is_told_once_with_its_way(repository: Repository) -> None:
    texts = [FLUX.format(name=name, wants=wants) for name, wants in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))]
    [circle] = [finding for finding in found(repository, "".join(texts)) if finding.rule == "references/circle"]
    assert circle.message == "waits for itself: a → b → c → a"
    assert (circle.place.file, circle.place.line) == ("0.yaml", 10)


@needs("kustomize")
def test_what_a_generator_makes_is_there_under_its_new_name(repository: Repository) -> None:
    root = repository({
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "kustomization.yaml": "namespace: prod\nresources: [pod.yaml]\nconfigMapGenerator: [{name: m, literals: [a=b]}]\n",
        "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'c:1', envFrom: [{configMapRef: {name: m}}]}\n",
    })  # fmt: skip
    assert judge(root).findings == ()


def test_where_something_was_not_rendered_nothing_is_missed(repository: Repository) -> None:
    assert found(repository, POD, "a: [1\n") == []


def test_of_a_part_nobody_knows_what_the_rest_brings(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "a/pod.yaml": POD, "b/all.yaml": EVERYTHING})
    assert command("check", root / "a")[0] == 0
    assert command("check", root)[0] == 0


@shared("article")
@needs("kustomize")
def test_the_articles_loose_ends_are_told() -> None:
    told = {finding.message.split(" is named")[0] for finding in judge(SHARED / "article").findings}
    assert {
        "Secret github-credentials in namespace flux-system", "ClusterSecretStore vault-backend",
        "GitRepository flux-system in namespace flux-system",
    } <= told  # fmt: skip
