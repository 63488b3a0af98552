"""Objects and helpers that the tests of references share."""

from __future__ import annotations

from gatekeeper.gate import finding_groups
from gatekeeper.model import Finding
from tests.conftest import Repository, judge

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


SEALED = """\
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: db, namespace: prod}
spec:
  encryptedData: {password: CIPHER}
  template:
    metadata: {name: db, namespace: prod}
"""
KUSTOMIZATION = """\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME, namespace: flux-system}
spec: {interval: 1h, prune: true, path: PATH, sourceRef: {kind: GitRepository, name: flux-system}}
"""


def flux(name: str, path: str) -> str:
    return KUSTOMIZATION.replace("NAME", name).replace("PATH", path)


def find_all(repository: Repository, *texts: str, config: str = "") -> list[Finding]:
    """The findings of the references engine on some files, named by their number (`0.yaml`), each place on its own."""
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(texts)}
    verdict = judge(repository({**files, "gatekeeper.yaml": f"library: {{profile: 'off'}}\n{config}"}))
    findings = finding_groups.ungroup_findings(verdict.findings)
    return [finding for finding in findings if finding.rule.startswith("references/")]


def find_faults(repository: Repository, *texts: str, config: str = "") -> list[Finding]:
    """The same without the warnings about unused objects."""
    return [finding for finding in find_all(repository, *texts, config=config) if finding.rule != "references/unused"]


def list_places(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    """Rule, file and line of each finding."""
    return [
        (finding.rule.removeprefix("references/"), finding.location.file, finding.location.line) for finding in findings
    ]
