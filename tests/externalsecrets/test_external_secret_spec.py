"""ExternalSecrets of every API version have one form; what is not supported is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.externalsecrets import external_secret_spec
from gatekeeper.externalsecrets.model import RemoteRef, StoreRef
from gatekeeper.kube.decoder import FieldError
from gatekeeper.workspace import documents
from tests.conftest import SHARED, shared

BASE = """
apiVersion: external-secrets.io/{version}
kind: ExternalSecret
metadata: {{name: db, namespace: prod, labels: {{app: shop}}}}
spec:
  secretStoreRef: {{name: vault, kind: ClusterSecretStore}}
  {rest}
"""
DATA = "data: [{secretKey: a, remoteRef: {key: k, property: p}}]"


def es(rest: str = DATA, version: str = "v1") -> Any:
    return yaml.safe_load(BASE.format(version=version, rest=rest))


@pytest.mark.parametrize("version", external_secret_spec.VERSIONS)
def test_every_version_has_the_same_form(version: str) -> None:
    wanted = external_secret_spec.parse_external_secret(es(DATA + "\n  refreshInterval: 1h30m", version))
    newest = external_secret_spec.parse_external_secret(es(DATA + "\n  refreshInterval: 1h30m"))
    assert wanted._replace(version="v1") == newest
    assert (newest.interval, newest.target.name, newest.target.creation_policy) == (5400.0, "db", "Owner")
    assert newest.data[0].store == StoreRef("ClusterSecretStore", "vault") and newest.data[0].remote == RemoteRef(
        "k", "p"
    )


def test_flat_entries_of_the_oldest_version_are_what_is_extracted() -> None:
    old = external_secret_spec.parse_external_secret(es("dataFrom: [{key: k, property: p}]", "v1alpha1"))
    new = external_secret_spec.parse_external_secret(es("dataFrom: [{extract: {key: k, property: p}}]", "v1"))
    assert old.data_from == new.data_from


def test_a_template_of_the_oldest_version_is_for_engine_v1() -> None:
    rest = DATA + "\n  target: {template: {data: {a: '{{ .a | toString }}'}}}"
    engines = [
        external_secret_spec.parse_external_secret(es(rest, version)).target.template
        for version in external_secret_spec.VERSIONS
    ]
    assert [one and one.engine for one in engines] == ["v1", "v2", "v2"]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("data: []", "`spec` must have `data` or `dataFrom`"),
        ("data: [{secretKey: a}]", "`spec.data[0].remoteRef` is missing"),
        ("data: [{secretKey: a, remoteRef: {key: ''}}]", "`spec.data[0].remoteRef.key` is missing"),
        (DATA + "\n  refreshInterval: 1 hour", "`spec.refreshInterval` is not a duration"),
        (DATA + "\n  refreshInterval: 90", "`spec.refreshInterval` is not a duration"),
        (DATA + "\n  syncWindows: {}", "`spec.syncWindows` is not supported"),
        (DATA + "\n  target: {manifest: {kind: ConfigMap}}", "`spec.target.manifest` is not supported"),
        (DATA + "\n  target: {creationPolicy: owner}", "`spec.target.creationPolicy` is `owner`; it can be Owner, "),
        (
            DATA + "\n  target: {deletionPolicy: Delete, creationPolicy: Merge}",
            "`spec.target.deletionPolicy` is Delete",
        ),
        (DATA + "\n  target: {template: {engineVersion: v1}}", "`spec.target.template.engineVersion` is `v1`"),
        ("dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: p}}}]", "generatorRef` is not supported"),
        ("dataFrom: [{extract: {key: k}, find: {}}]", "`spec.dataFrom[0].extract` or `find` is required"),
        ("data: [{secretKey: a, remoteRef: {key: k, nullBytePolicy: Fail}}]", "nullBytePolicy` is `Fail`"),
        (
            "data: [{secretKey: a, remoteRef: {key: k}}, {secretKey: a, remoteRef: {key: l}}]",
            "`spec.data[1].secretKey` is a duplicate: `a`",
        ),
        ("dataFrom: [{extract: {key: k}, rewrite: [{}]}]", "`spec.dataFrom[0].rewrite[0].regexp` or"),
        (
            "dataFrom: [{extract: {key: k}, rewrite: [{merge: {strategy: JSON}}]}]",
            "`spec.dataFrom[0].rewrite[0].merge.into`",
        ),
    ],
)
def test_invalid_or_unsupported_field_is_refused_by_name(rest: str, words: str) -> None:
    with pytest.raises(FieldError) as caught:
        external_secret_spec.parse_external_secret(es(rest))
    assert words in str(caught.value)


def test_an_entry_may_have_a_store_separate() -> None:
    value = es("data: [{secretKey: a, remoteRef: {key: k}, sourceRef: {storeRef: {name: own}}}]")
    assert external_secret_spec.parse_external_secret(value).data[0].store == StoreRef("SecretStore", "own")
    del value["spec"]["secretStoreRef"]
    assert external_secret_spec.parse_external_secret(value).data[0].store == StoreRef("SecretStore", "own")
    with pytest.raises(FieldError, match="is missing, and an entry of `data` has no `sourceRef`"):
        external_secret_spec.parse_external_secret({**es(), "spec": {"data": es()["spec"]["data"]}})


@shared("corpora")
def test_external_secrets_of_public_repositories_can_be_parsed() -> None:
    count = 0
    for path in sorted(SHARED.rglob("*.yaml")):
        if path.is_file() and b"kind: ExternalSecret\n" in path.read_bytes():
            for document in documents.parse(path.read_bytes())[0]:
                if document.head and document.head[1] == "ExternalSecret":
                    external_secret_spec.parse_external_secret(documents.to_value(document))
                    count += 1
    assert count > 80


@shared("article")
def test_the_example_of_the_article_can_be_read() -> None:
    [document] = documents.parse(Path(SHARED / "article/secrets/external.yaml").read_bytes())[0]
    wanted = external_secret_spec.parse_external_secret(documents.to_value(document))
    assert [item.remote.property for item in wanted.data] == ["username", "password"]
