"""A cluster that external-secrets has filled is taken over without a write: what it made is as we would make it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.conftest import Repository, command, needs
from tests.servers import cluster as servers
from tests.servers import operator, vault_server
from tests.servers.cluster import TOKEN as CLUSTER_TOKEN
from tests.servers.cluster import Cluster
from tests.servers.vault_server import TOKEN, VaultServer

STORE = """\
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {{name: vault}}
spec:
  provider:
    vault: {{server: '{url}', path: secret, auth: {{tokenSecretRef: {{name: vault, key: token, namespace: prod}}}}}}
"""
KUBE = """\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {{name: kube, namespace: prod}}
spec:
  provider:
    kubernetes: {{remoteNamespace: other, server: {{url: '{url}', caBundle: '{ca}'}}, auth: {{token: {{bearerToken: {{name: kube, key: token}}}}}}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: copied, namespace: prod}}
spec:
  secretStoreRef: {{name: kube}}
  data:
  - {{secretKey: all, remoteRef: {{key: source}}}}
  - {{secretKey: marks, remoteRef: {{key: source, metadataPolicy: Fetch}}}}
  - {{secretKey: label, remoteRef: {{key: source, metadataPolicy: Fetch, property: labels.team}}}}
  - {{secretKey: deep, remoteRef: {{key: source, property: conf.a.1}}}}
  - {{secretKey: dotted, remoteRef: {{key: source, property: a.txt}}}}
  dataFrom:
  - {{extract: {{key: source}}}}
"""
SOURCE = {
    "conf": b'{"a": [1, "two"]}',
    "a.txt": b"<&> gr\xc3\xbcn",
    "raw": bytes(range(256)),
    "odd": b"\xff\xfe x \xe2\x82y \xed\xa0\x80 \xef\xbf\xbd \xe2\x80\xa8",
}
# Everything of which the two could be of two minds: numbers, signs that Go escapes, nested values, templates, names.
WANTED = r"""
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: plain, namespace: prod, labels: {app: shop}, annotations: {note: kept}}
spec:
  secretStoreRef: &store {name: vault, kind: ClusterSecretStore}
  data:
  - {secretKey: password, remoteRef: {key: prod/db, property: password}}
  - {secretKey: nested, remoteRef: {key: prod/db, property: nested}}
  - {secretKey: inner, remoteRef: {key: prod/db, property: nested.list.1}}
  - {secretKey: number, remoteRef: {key: prod/db, property: number}}
  - {secretKey: all, remoteRef: {key: prod/db}}
  - {secretKey: dots, remoteRef: {key: prod/db, property: dotted.name}}
  - {secretKey: coded, remoteRef: {key: prod/db, property: coded, decodingStrategy: Base64}}
  - {secretKey: old, remoteRef: {key: prod/db, property: password, version: '1'}}
  - {secretKey: marks, remoteRef: {key: prod/db, metadataPolicy: Fetch}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: extracted, namespace: prod}
spec:
  secretStoreRef: {name: vault, kind: ClusterSecretStore}
  dataFrom:
  - {extract: {key: prod/db, conversionStrategy: Unicode}}
  - {find: {path: prod, name: {regexp: 'web$'}}, rewrite: [{regexp: {source: 'prod/(.*)', target: 'from-$1'}}]}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: templated, namespace: prod, labels: {app: shop}}
spec:
  secretStoreRef: {name: vault, kind: ClusterSecretStore}
  target:
    name: other
    creationPolicy: Orphan
    template:
      type: example.com/own
      mergePolicy: Merge
      metadata: {labels: {user: '{{ .user }}'}, annotations: {plain: 'text'}}
      data: {url: 'db://{{ .user }}:{{ .password | urlquery }}@host', upper: '{{ .password | upper | quote }}'}
  data:
  - {secretKey: user, remoteRef: {key: prod/db, property: user}}
  - {secretKey: password, remoteRef: {key: prod/db, property: password}}
"""
SECRET = {
    "password": "new <&> grün",
    "user": "shop",
    "number": 1.5,
    "count": 12,
    "truth": True,
    "dotted.name": "dots",
    "coded": "aGk=",
    "nested": {"b": "<x>", "a": 1, "list": ["u", "v"]},
    "a key": "odd",
}


@contextmanager
def filled(folder: Path) -> Iterator[tuple[Cluster, VaultServer]]:
    """A cluster with a namespace `prod`, and a Vault with what the ExternalSecrets ask for; its token is in the cluster."""
    for name in ("cluster", "vault"):
        (folder / name).mkdir()
    with servers.running(folder / "cluster") as cluster, vault_server.running(folder / "vault") as vault:
        kv = vault.client.secrets.kv.v2
        kv.create_or_update_secret("prod/db", {"password": "first"})
        kv.create_or_update_secret("prod/db", SECRET)
        kv.update_metadata("prod/db", custom_metadata={"team": "shop"})
        kv.create_or_update_secret("prod/web", {"token": "x"})
        cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        held = {"metadata": {"name": "vault"}, "data": {"token": base64.b64encode(TOKEN.encode()).decode()}}
        cluster.make("/api/v1/namespaces/prod/secrets", held)
        yield cluster, vault


@needs("gotemplate")
def test_secret_of_external_secrets_is_identical_to_ours(repository: Repository, tmp_path: Path) -> None:
    with filled(tmp_path) as (cluster, vault):
        operator.install(cluster)
        text = STORE.format(url=vault.url)
        cluster.make("/apis/external-secrets.io/v1/clustersecretstores", yaml.safe_load(text))
        text += f"---{WANTED}---\n{_kube(cluster)}"
        store, copied = yaml.safe_load_all(_kube(cluster))
        cluster.make("/apis/external-secrets.io/v1/namespaces/prod/secretstores", store)
        wanted = [*yaml.safe_load_all(WANTED), copied]
        for value in wanted:
            cluster.make("/apis/external-secrets.io/v1/namespaces/prod/externalsecrets", value)
        with operator.running(cluster, tmp_path):
            operator.wait_for(cluster, "prod", len(wanted))
        paths = [f"/api/v1/namespaces/prod/secrets/{name}" for name in ("plain", "extracted", "other", "copied")]
        before = [cluster.ask("GET", path)[1] for path in paths]
        root = repository({"all.yaml": text})
        run = ("sync", "--once", "--kubeconfig", cluster.kubeconfig, root)
        code, out, err = command(*run)
        assert (code, err, out.count("unchanged")) == (0, "", 4), out
        assert [cluster.ask("GET", path)[1] for path in paths] == before
        for path in paths:
            cluster.ask("DELETE", path)
        assert command(*run)[1].count("created") == 4
        after = [cluster.ask("GET", path)[1] for path in paths]
        assert [one["data"] for one in after] == [one["data"] for one in before]


def _kube(cluster: Cluster) -> str:
    """A store of Secrets of the cluster itself, and what asks for one of them."""
    ca = base64.b64encode(cluster.certificate.read_bytes()).decode()
    if cluster.ask("GET", "/api/v1/namespaces/other")[0] != 200:
        cluster.make("/api/v1/namespaces", {"metadata": {"name": "other"}})
        data = {key: base64.b64encode(value).decode() for key, value in SOURCE.items()}
        source = {"metadata": {"name": "source", "labels": {"team": "shop"}}, "data": data}
        cluster.make("/api/v1/namespaces/other/secrets", source)
        token = base64.b64encode(CLUSTER_TOKEN.encode()).decode()
        cluster.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": "kube"}, "data": {"token": token}})
    return KUBE.format(url=cluster.url, ca=ca)
