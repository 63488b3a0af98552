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


EVERYTHING = "".join(
    [
        secret("pull", "x"),
        secret("all", "x"),
        secret("db", "password"),
        secret("files", "x"),
        config_map("settings", "size"),
        config_map("projected", "x"),
    ]
)


def found(repository: Repository, *texts: str, config: str = "") -> list[Finding]:
    return [one for one in all_of(repository, *texts, config=config) if one.rule != "references/unused"]


def all_of(repository: Repository, *texts: str, config: str = "") -> list[Finding]:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(texts)}
    verdict = judge(repository({**files, "gatekeeper.yaml": f"library: {{profile: 'off'}}\n{config}"}))
    return [finding for finding in verdict.findings if finding.rule.startswith("references/")]


def test_everything_that_is_named_is_missed(repository: Repository) -> None:
    missing = {(finding.location.line, finding.message.split(" in ")[0]) for finding in found(repository, POD)}
    assert missing == {
        (5, "Secret pull"),
        (10, "Secret all"),
        (11, "ConfigMap settings"),
        (14, "Secret db"),
        (16, "ConfigMap settings"),
        (21, "Secret files"),
        (23, "ConfigMap projected"),
    }


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
    assert finding.location.line == 6


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
    assert (circle.location.file, circle.location.line) == ("0.yaml", 10)


@needs("kustomize")
def test_what_a_generator_makes_is_there_under_its_new_name(repository: Repository) -> None:
    root = repository(
        {
            "gatekeeper.yaml": "library: {profile: 'off'}\n",
            "kustomization.yaml": "namespace: prod\nresources: [pod.yaml]\nconfigMapGenerator: [{name: m, literals: [a=b]}]\n",
            "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'c:1', envFrom: [{configMapRef: {name: m}}]}\n",
        }
    )
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
        "Secret github-credentials in namespace flux-system",
        "ClusterSecretStore vault-backend",
        "GitRepository flux-system in namespace flux-system",
    } <= told


SEALED = """\
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData: {password: CIPHER}
  template:
    metadata: {name: db, namespace: prod}
"""


def rules_of(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(one.rule.removeprefix("references/"), one.location.file, one.location.line) for one in findings]


@pytest.mark.parametrize(
    ("before", "after", "found_at"),
    [
        ("", "", []),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {name: data, namespace: prod}",
            [("sealed-name", "0.yaml", 7)],
        ),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {name: db, namespace: test}",
            [("sealed-name", "0.yaml", 7)],
        ),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}}",
            [("sealed-scope", "0.yaml", 7)],
        ),
    ],
)
def test_a_sealed_secret_agrees_with_itself(
    repository: Repository, before: str, after: str, found_at: list[object]
) -> None:
    seals = [one for one in found(repository, SEALED.replace(before, after), POD) if "sealed" in one.rule]
    assert rules_of(seals) == found_at


def test_ciphertext_that_was_copied_to_another_name_is_told(repository: Repository) -> None:
    copy = SEALED.replace("name: db", "name: copy")
    assert ("sealed-copy", "1.yaml", 5) in rules_of(found(repository, SEALED, copy))
    wide = "metadata: {name: NAME, namespace: prod, annotations: {sealedsecrets.bitnami.com/namespace-wide: 'true'}}"
    shared_in_namespace = [
        SEALED.replace("metadata: {name: db, namespace: prod}", wide.replace("NAME", name), 1).partition("  template")[
            0
        ]
        for name in ("db", "copy")
    ]
    assert [one for one in rules_of(found(repository, *shared_in_namespace)) if one[0].startswith("sealed")] == []


STORE = """\
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: vault}
spec:
  provider: {fake: {data: []}}
  conditions: [CONDITION]
---
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {stage: production}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: all, namespace: prod}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: vault}
  dataFrom: [{extract: {key: a}}]
"""


@pytest.mark.parametrize(
    ("condition", "serves"),
    [
        ("{namespaces: [prod]}", True),
        ("{namespaces: [test]}", False),
        ("{namespaceRegexes: ['^pr']}", True),
        ("{namespaceRegexes: ['^te']}", False),
        ("{namespaceSelector: {matchLabels: {stage: production}}}", True),
        ("{namespaceSelector: {matchLabels: {stage: test}}}", False),
        ("{namespaces: [test]}, {namespaces: [prod]}", True),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: prod}}}", True),
        ("{namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}}", False),
        ("{namespaceSelector: {matchExpressions: [{key: stage, operator: Exists}]}}", True),
    ],
)
def test_a_store_serves_the_namespace_of_who_asks(repository: Repository, condition: str, serves: bool) -> None:
    told = [one for one in rules_of(found(repository, STORE.replace("CONDITION", condition))) if one[0] == "store"]
    assert told == ([] if serves else [("store", "0.yaml", 16)])


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: LABEL}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""


def test_a_service_finds_its_pods(repository: Repository) -> None:
    assert found(repository, SERVICE.replace("LABEL", "web")) == []
    assert rules_of(found(repository, SERVICE.replace("LABEL", "wbe"))) == [("selector", "0.yaml", 5)]
    alone = SERVICE.partition("---")[0]
    assert found(repository, alone) == [], "its Pods may come from elsewhere"
    chart = (
        "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: c, namespace: prod}\n"
        "spec: {interval: 1h, chart: {spec: {chart: c, sourceRef: {kind: HelmRepository, name: r}}}}\n"
    )
    assert "selector" not in {one[0] for one in rules_of(found(repository, SERVICE.replace("LABEL", "x") + chart))}


def test_an_ingress_finds_its_service_and_a_scaler_its_workload(repository: Repository) -> None:
    ingress = (
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: prod}\nspec:\n"
        "  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}]}}]\n"
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: prod}\n"
        "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}}\n"
    )
    there = SERVICE.replace("LABEL", "web")
    assert found(repository, there + ingress.replace("NAME", "web")) == []
    messages = [one.message for one in found(repository, there + ingress.replace("NAME", "wbe"))]
    assert [message.split(" is named")[0] for message in messages] == [
        "Service wbe in namespace prod",
        "Deployment wbe in namespace prod",
    ]


KUSTOMIZATION = """\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME, namespace: flux-system}
spec: {interval: 1h, prune: true, path: PATH, sourceRef: {kind: GitRepository, name: flux-system}}
"""


def flux(name: str, path: str) -> str:
    return KUSTOMIZATION.replace("NAME", name).replace("PATH", path)


def test_a_path_of_flux_leads_somewhere(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "clusters/a.yaml": flux("apps", "./apps") + flux("gone", "./appz"),
        "apps/a.yaml": config_map("a", "x"),
    }
    assert ("path", "clusters/a.yaml", 10) in rules_of(list(judge(repository(files)).findings))
    files["clusters/a.yaml"] = flux("gone", "./appz")
    found_alone = rules_of(list(judge(repository(files)).findings))
    assert "path" not in {one[0] for one in found_alone}, "the source may be another repository"


def two_clusters(second: str) -> dict[str, str | bytes]:
    secret_of = config_map("settings", "size").replace("metadata: {", "metadata: {annotations: {a: NAME}, ")
    return {
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "clusters/one/flux.yaml": flux("one", "./clusters/one") + flux("apps", "./apps/one"),
        "clusters/two/flux.yaml": flux("two", "./clusters/two") + flux("apps", second),
        "apps/one/a.yaml": secret_of.replace("NAME", "first"),
        "apps/two/a.yaml": secret_of.replace("NAME", "second"),
    }


def test_clusters_have_things_of_the_same_name(repository: Repository) -> None:
    assert "twice" not in {one[0] for one in rules_of(list(judge(repository(two_clusters("./apps/two"))).findings))}


def test_what_one_cluster_gets_twice_is_told(repository: Repository) -> None:
    files = two_clusters("./apps/two")
    files["clusters/one/more.yaml"] = flux("more", "./apps/two")
    assert ("twice", "apps/two/a.yaml") in {one[:2] for one in rules_of(list(judge(repository(files)).findings))}


def test_two_makers_of_one_secret_are_told(repository: Repository) -> None:
    both = found(repository, SEALED, secret("db", "password"), POD)
    [twice] = [one for one in both if one.rule == "references/twice"]
    assert twice.message == "Secret prod/db is provided twice: here by Secret, and by SealedSecret in 0.yaml:3"


def test_what_nothing_names_is_a_warning(repository: Repository) -> None:
    lonely = config_map("lonely", "x")
    [finding] = all_of(repository, lonely)
    assert (finding.rule, finding.severity, finding.location.line) == ("references/unused", "warning", 4)
    assert all_of(repository, lonely, config="references: {allow: ['ConfigMap/prod/lon*']}\n") == []
    named = (
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: prod}\nspec:\n  containers:\n"
        "  - {name: c, image: 'a:1', args: ['--map=prod/lonely']}\n"
    )
    assert all_of(repository, lonely + named) == []
    labelled = lonely.replace("namespace: prod", "namespace: prod, labels: {grafana_dashboard: '1'}")
    assert all_of(repository, labelled) == []
