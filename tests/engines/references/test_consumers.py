"""References of single resources: the field, the object and the key."""

from __future__ import annotations

import pytest
import yaml

from gatekeeper.engines.references import consumers
from gatekeeper.model import format_path
from tests.engines.resources import build_resource

KUSTOMIZATION = (
    "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: k, namespace: ns}, spec: SPEC}"
)
RELEASE = "{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: r, namespace: ns}, spec: SPEC}"
SOURCE = (
    "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: g, namespace: ns}, spec: SPEC}"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            KUSTOMIZATION.replace("SPEC", "{sourceRef: {kind: GitRepository, name: g, namespace: other}}"),
            ["spec.sourceRef.name GitRepository other/g "],
        ),
        (
            KUSTOMIZATION.replace("SPEC", "{postBuild: {substituteFrom: [{kind: Secret, name: s, optional: true}]}}"),
            [],
        ),
        (KUSTOMIZATION.replace("SPEC", "{dependsOn: [{name: '${env}'}]}"), []),
        (
            RELEASE.replace("SPEC", "{valuesFrom: [{kind: ConfigMap, name: c, valuesKey: v.yaml}]}"),
            ["spec.valuesFrom[0].name ConfigMap ns/c v.yaml"],
        ),
        (SOURCE.replace("SPEC", "{secretRef: {name: token}}"), ["spec.secretRef.name Secret ns/token "]),
        ("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}, imagePullSecrets: [{name: p}]}",
         ["imagePullSecrets[0].name Secret /p "]),
        ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: 'not a list', imagePullSecrets: 3}}", []),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {secretName: x}}", []),
    ],
)  # fmt: skip
def test_find_references(text: str, expected: list[str]) -> None:
    found = consumers.find_references(build_resource(yaml.safe_load(text)))
    described = [f"{format_path(one.path)} {one.kind} {one.namespace}/{one.name} {one.key}" for one in found]
    assert described == expected


def test_a_credential_of_a_source_is_usually_created_by_hand() -> None:
    text = SOURCE.replace("SPEC", "{secretRef: {name: token}}")
    [reference] = consumers.find_references(build_resource(yaml.safe_load(text)))
    assert reference.is_usually_manual
