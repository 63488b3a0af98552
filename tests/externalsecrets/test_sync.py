"""ExternalSecrets of a cluster: taken over from external-secrets in every respect, and reported by status and events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml

from gatekeeper.externalsecrets.refresh_schedule import compute_synced_version
from tests.conftest import command, needs
from tests.externalsecrets.test_takeover import SECRET, STORE, WANTED, filled
from tests.sealedsecrets.test_kubeseal_compatibility import pair
from tests.servers import operator
from tests.servers.cluster import Cluster
from tests.servers.vault_server import VaultServer

pytestmark = needs("gotemplate")
API = "/apis/external-secrets.io/v1"
VALUE = SECRET["password"]


class Place(NamedTuple):
    cluster: Cluster
    vault: VaultServer
    folder: Path

    def make(self, value: dict[str, Any]) -> None:
        """An ExternalSecret of the namespace `prod`."""
        self.cluster.make(f"{API}/namespaces/prod/externalsecrets", value)

    def wanted(self, name: str) -> Any:
        return self.cluster.ask("GET", f"{API}/namespaces/prod/externalsecrets/{name}")[1]

    def secret(self, name: str) -> Any:
        return self.cluster.ask("GET", f"/api/v1/namespaces/prod/secrets/{name}")

    def events(self, name: str) -> list[tuple[str, str]]:
        held = self.cluster.ask("GET", "/api/v1/namespaces/prod/events")[1]["items"]
        return [(one["reason"], one["message"]) for one in held if one["involvedObject"]["name"] == name]

    def sync(self, *more: str) -> tuple[int, str, str]:
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        return command("sync", "--once", "--kubeconfig", self.cluster.kubeconfig, "--from-cluster", *more, root)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with filled(tmp_path) as (cluster, vault):
        operator.install(cluster)
        cluster.make(f"{API}/clustersecretstores", yaml.safe_load(STORE.format(url=vault.url)))
        yield Place(cluster, vault, tmp_path)


def es(name: str, **spec: Any) -> dict[str, Any]:
    data = [{"secretKey": "password", "remoteRef": {"key": "prod/db", "property": "password"}}]
    store = {"name": "vault", "kind": "ClusterSecretStore"}
    whole = {"secretStoreRef": store, "data": data, "refreshInterval": "9000h", **spec}
    meta = {"name": name, "namespace": "prod"}
    return {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": meta, "spec": whole}


def ready(value: Any) -> tuple[str, str, str]:
    [condition] = [one for one in value["status"]["conditions"] if one["type"] == "Ready"]
    return condition["status"], condition["reason"], condition["message"]


def test_takeover_from_external_secrets_needs_no_read_or_write(place: Place) -> None:
    wanted = list(yaml.safe_load_all(WANTED))
    for value in wanted:
        value["spec"]["refreshInterval"] = "9000h"
        place.make(value)
    with operator.running(place.cluster, place.folder):
        operator.wait_for(place.cluster, "prod", len(wanted))
        operator.wait_until_told(place.cluster, "prod", len(wanted))
    names = [value["metadata"]["name"] for value in wanted]
    before = [place.wanted(name) for name in names]
    secrets = [place.secret(name)[1] for name in ("plain", "extracted", "other")]
    assert all(one["status"]["syncedResourceVersion"] == compute_synced_version(one) for one in before)
    reads = place.vault.requests("secret/data/prod/db")
    code, out, err = place.sync()
    assert (code, err) == (0, "") and "3 ExternalSecrets are not due yet" in out
    assert place.vault.requests("secret/data/prod/db") == reads
    code, out, err = place.sync("--force")
    assert (code, err, out.count("unchanged")) == (0, "", 3), out
    assert [place.secret(name)[1] for name in ("plain", "extracted", "other")] == secrets
    after = [place.wanted(name) for name in names]
    assert [ready(one) for one in after] == [ready(one) for one in before]
    # The Secret that somebody has changed is not as it was written, so it is read and mended.
    secret = secrets[0] | {"data": {"password": "b3RoZXI="}}
    assert place.cluster.ask("PUT", "/api/v1/namespaces/prod/secrets/plain", secret)[0] == 200
    code, out, _ = place.sync()
    assert code == 0 and "changed   prod/plain" in out and "2 ExternalSecrets are not due yet" in out
    assert place.secret("plain")[1]["data"] == secrets[0]["data"]


def test_status_events_and_owner_match_the_operator(place: Place) -> None:
    place.make(es("db", target={"name": "old"}))
    code, out, err = place.sync()
    assert (code, err) == (0, "") and "created   prod/old" in out
    value, secret = place.wanted("db"), place.secret("old")[1]
    assert ready(value) == ("True", "SecretSynced", "secret synced") and value["status"]["binding"] == {"name": "old"}
    assert value["status"]["syncedResourceVersion"] == compute_synced_version(value)
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (value["metadata"]["uid"], True)
    assert place.events("db") == [("Created", "secret created")]
    assert "1 ExternalSecrets are not due yet" in place.sync()[1] and len(place.events("db")) == 1
    # The real operator marks the ExternalSecret as its own, and finds nothing to write in the Secret.
    with operator.running(place.cluster, place.folder):
        place.make(es("another"))
        operator.wait_for(place.cluster, "prod", 2)
        operator.wait_until_told(place.cluster, "prod", 2)
    assert place.secret("old")[1] == secret and ready(place.wanted("db")) == ready(value)
    # Under a new name the Secret of the old one goes.
    value = place.wanted("db")
    value["spec"]["target"]["name"] = "new"
    assert place.cluster.ask("PUT", f"{API}/namespaces/prod/externalsecrets/db", value)[0] == 200
    assert "created   prod/new" in place.sync()[1]
    assert place.secret("old")[0] == 404 and place.secret("new")[0] == 200 and place.secret("another")[0] == 200


def test_root_cause_is_reported_and_the_old_secret_stays(place: Place) -> None:
    place.make(es("db"))
    place.make(es("gone", data=[{"secretKey": "a", "remoteRef": {"key": "none"}}]))
    place.make(es("lost", data=[{"secretKey": "a", "remoteRef": {"key": "prod/db", "property": "pasword"}}]))
    maker = {"generatorRef": {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Password", "name": "p"}}
    place.make(es("odd", dataFrom=[{"sourceRef": maker}]))
    place.make(es("waits", target={"creationPolicy": "Merge"}))
    partial = [*es("x")["spec"]["data"], {"secretKey": "b", "remoteRef": {"key": "none"}}]
    place.make(es("part", target={"deletionPolicy": "Merge"}, data=partial))
    assert place.sync()[0] == 1
    found = {name: ready(place.wanted(name)) for name in ("db", "gone", "lost", "waits", "part", "odd")}
    assert "generatorRef` is not supported" in found["odd"][2] and place.events("odd")[0][0] == "UpdateFailed"
    assert found["db"][0] == "True" and {found[name][0] for name in ("gone", "lost", "waits", "part")} == {"False"}
    assert "`none`: Vault has no such secret" in found["gone"][2] and found["gone"][1] == "SecretSyncedError"
    assert "`prod/db` has no `pasword`" in found["lost"][2] and found["waits"][1] == "SecretMissing"
    assert "incomplete: `none`" in found["part"][2] and "data" in place.secret("part")[1]
    for name in ("gone", "lost", "part"):
        assert [reason for reason, _ in place.events(name) if reason == "UpdateFailed"] == ["UpdateFailed"]
    # Not told again while it is the same; and the Secret that is there stays when its value is not there any more.
    place.vault.client.secrets.kv.v2.delete_metadata_and_all_versions("prod/db")
    secret = place.secret("db")[1]
    assert place.sync("--force")[0] == 1
    assert len(place.events("gone")) == 1 and place.secret("db")[1] == secret
    assert ready(place.wanted("db")) == ("False", "SecretSyncedError", "`prod/db`: Vault has no such secret")
    assert not any(str(VALUE) in str(place.events(name)) for name in found)


def test_secret_that_no_rule_allows_is_not_read_and_reported(place: Place) -> None:
    (place.folder / "root").mkdir()
    rules = "secrets: {allow: [{namespace: prod, key: 'prod/web'}]}\n"
    (place.folder / "root" / "gatekeeper.yaml").write_text(rules)
    place.make(es("db"))
    before = place.vault.requests("secret/data/prod/db")
    assert place.sync()[0] == 1 and place.vault.requests("secret/data/prod/db") == before
    status, reason, words = ready(place.wanted("db"))
    assert (status, reason) == ("False", "SecretSyncedError") and "namespace prod may not read `prod/db`" in words
    assert [told for told, _ in place.events("db")] == ["UpdateFailed"] and place.secret("db")[0] == 404


def test_documented_permissions_suffice(place: Place) -> None:
    """With those rights and no more; Namespaces are not among them, for nothing here chooses by labels."""
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "get", "create", "update", "delete"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["external-secrets.io"], "resources": ["*"], "verbs": ["list"]},
        {"apiGroups": ["external-secrets.io"], "resources": ["externalsecrets/status"], "verbs": ["patch"]},
    ]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    place.cluster.make(f"{rbac}/clusterroles", {"metadata": {"name": "sync"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "sync", "namespace": "prod"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sync"}
    binding = {"metadata": {"name": "sync"}, "roleRef": ref, "subjects": [subject]}
    place.cluster.make(f"{rbac}/clusterrolebindings", binding)
    accounts = "/api/v1/namespaces/prod/serviceaccounts"
    place.cluster.make(accounts, {"metadata": {"name": "sync"}})
    token = place.cluster.ask("POST", f"{accounts}/sync/token", {"spec": {}})[1]["status"]["token"]
    value = yaml.safe_load(place.cluster.kubeconfig.read_text())
    value["users"][0]["user"] = {"token": token}
    place.cluster.kubeconfig.write_text(yaml.safe_dump(value))
    place.make(es("db"))
    code, out, err = place.sync()
    assert (code, err) == (0, "") and "created   prod/db" in out and ready(place.wanted("db"))[0] == "True"


def test_external_secrets_of_a_cluster_can_be_sealed_into_files(place: Place) -> None:
    certificate, key = pair(place.folder / "sealing")
    place.make(es("db"))
    code, out, err = place.sync("--seal", str(certificate), "--to", str(place.folder / "out"))
    assert (code, err) == (0, "") and "sealed " in out and place.secret("db")[0] == 404
    assert "status" not in place.wanted("db")
    opened = command("unseal", "--key", key, "-f", place.folder / "out" / "prod-db.yaml")[1]
    assert base64.b64decode(orjson.loads(opened)["data"]["password"]).decode() == VALUE


def test_secret_created_by_another_client_in_the_meantime_is_kept(place: Place) -> None:
    place.cluster.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": "db"}, "data": {"a": "b2xk"}})
    place.make(es("db"))
    code, out, _ = place.sync()
    assert code == 1 and "FAILED    prod/db: Secret db already exists and is not managed" in out
    assert (
        place.secret("db")[1]["data"] == {"a": "b2xk"}
        and "not managed by an ExternalSecret" in ready(place.wanted("db"))[2]
    )


def test_cluster_external_secrets_of_a_cluster_choose_its_namespaces(place: Place) -> None:
    for name in ("shop-a", "shop-b"):
        place.cluster.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": {"team": "shop"}}})
    inner = {**es("x")["spec"], "refreshInterval": "9000h"}
    value = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "all"},
        "spec": {"namespaceSelector": {"matchLabels": {"team": "shop"}}, "externalSecretSpec": inner},
    }
    place.cluster.make(f"{API}/clusterexternalsecrets", value)
    code, out, err = place.sync()
    assert (code, err) == (0, "") and out.count("created") == 2 and "1 requests for 2 references" in out
    secret = place.cluster.ask("GET", "/api/v1/namespaces/shop-a/secrets/all")[1]
    assert base64.b64decode(secret["data"]["password"]).decode() == VALUE
    # The operator makes the ExternalSecrets themselves, and has nothing to write but who owns the Secrets.
    with operator.running(place.cluster, place.folder):
        operator.wait_until_told(place.cluster, "shop-a", 1)
        operator.wait_until_told(place.cluster, "shop-b", 1)
    assert place.cluster.ask("GET", "/api/v1/namespaces/shop-a/secrets/all")[1]["data"] == secret["data"]
    assert "2 ExternalSecrets are not due yet" in place.sync()[1]
