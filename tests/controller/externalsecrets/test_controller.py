"""The controller on ExternalSecrets, against a real API server and a real Vault: a change of a dependency triggers a sync."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.controller.externalsecrets import reloader
from tests.conftest import needs
from tests.controller.deployment import controller, until
from tests.externalsecrets.test_sync import API, Place, es, ready
from tests.externalsecrets.test_takeover import SECRET, SOURCE, STORE, _kube, filled
from tests.servers import operator

pytestmark = needs("gotemplate")
NEW = "another-of-the-test"
APPS = "/apis/apps/v1/namespaces/prod/deployments"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with filled(folder) as (cluster, vault):
        operator.install(cluster)
        yield Place(cluster, vault, folder)


def password(place: Place, name: str = "db") -> str | None:
    code, value = place.secret(name)
    return base64.b64decode(value["data"]["password"]).decode() if code == 200 else None


def state(place: Place, name: str = "db") -> str:
    value = place.wanted(name)
    return ready(value)[0] if (value.get("status") or {}).get("conditions") else ""


def deployment(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    labels = {"app": name}
    source = {"secretKeyRef": {"name": "db", "key": "password"}}
    container = {"name": "c", "image": "c", "env": [{"name": "P", "valueFrom": source}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec,
    }


def restarted(place: Place, name: str) -> bool:
    value = place.cluster.ask("GET", f"{APPS}/{name}")[1]
    return reloader.RESTARTED_ANNOTATION in (value["spec"]["template"]["metadata"].get("annotations") or {})


def test_change_of_a_dependency_triggers_a_sync(place: Place, tmp_path: Path) -> None:
    cluster, kv = place.cluster, place.vault.client.secrets.kv.v2
    for name, noted in (("restarts", {"reloader.stakater.com/auto": "true"}), ("stays", {})):
        cluster.make(APPS, deployment(name, noted))
    with controller(cluster, tmp_path, "--controllers", "external") as running:
        # First the ExternalSecret, then its store.
        place.make(es("db"))
        until(lambda: state(place) == "False", running)
        cluster.make(f"{API}/clustersecretstores", yaml.safe_load(STORE.format(url=place.vault.url)))
        until(lambda: password(place) == SECRET["password"] and state(place) == "True", running)
        # Somebody changes the Secret, or deletes it.
        cluster.ask("PATCH", "/api/v1/namespaces/prod/secrets/db", {"data": {"password": "eA=="}})
        until(lambda: password(place) == SECRET["password"], running)
        cluster.ask("DELETE", "/api/v1/namespaces/prod/secrets/db")
        until(lambda: password(place) == SECRET["password"], running)
        # Somebody asks for it: the value is another, and what says so begins anew.
        kv.create_or_update_secret("prod/db", {**SECRET, "password": NEW})
        cluster.ask(
            "PATCH", f"{API}/namespaces/prod/externalsecrets/db", {"metadata": {"annotations": {"force-sync": "1"}}}
        )
        until(lambda: password(place) == NEW, running)
        until(lambda: restarted(place, "restarts"), running)
        assert not restarted(place, "stays")
        # What the store signs in with is no good any more, and then it is again.
        token = "/api/v1/namespaces/prod/secrets/vault"
        held = cluster.ask("GET", token)[1]["data"]["token"]
        cluster.ask("PATCH", token, {"data": {"token": base64.b64encode(b"wrong").decode()}})
        until(lambda: state(place) == "False", running)
        cluster.ask("PATCH", token, {"data": {"token": held}})
        until(lambda: state(place) == "True", running)
        # The store is changed.
        broken = {"spec": {"provider": {"vault": {"path": "elsewhere"}}}}
        cluster.ask("PATCH", f"{API}/clustersecretstores/vault", broken)
        until(lambda: state(place) == "False", running)
        cluster.ask("PATCH", f"{API}/clustersecretstores/vault", {"spec": {"provider": {"vault": {"path": "secret"}}}})
        until(lambda: state(place) == "True", running)
        assert password(place) == NEW
        text = running.log.read_text()
        assert NEW not in text and str(SECRET["password"]) not in text
        assert running.stop() == 0


def test_change_of_a_source_secret_triggers_a_sync(place: Place, tmp_path: Path) -> None:
    store, copied = yaml.safe_load_all(_kube(place.cluster))
    place.cluster.make(f"{API}/namespaces/prod/secretstores", store)
    copied["spec"] |= {"refreshInterval": "9000h"}
    place.make(copied)

    def dotted() -> bytes:
        code, value = place.secret("copied")
        return base64.b64decode(value["data"]["dotted"]) if code == 200 else b""

    with controller(place.cluster, tmp_path, "--controllers", "external") as running:
        until(lambda: dotted() == SOURCE["a.txt"], running)
        new = {"data": {"a.txt": base64.b64encode(b"other").decode()}}
        place.cluster.ask("PATCH", "/api/v1/namespaces/other/secrets/source", new)
        until(lambda: dotted() == b"other", running)
        # The interval of 9000 hours is not over.
        assert dotted() == b"other"


def test_status_lists_synced_and_failed_namespaces(place: Place, tmp_path: Path) -> None:
    cluster, path = place.cluster, f"{API}/clusterexternalsecrets"
    if cluster.ask("GET", f"{API}/clustersecretstores/vault")[0] == 404:
        cluster.make(f"{API}/clustersecretstores", yaml.safe_load(STORE.format(url=place.vault.url)))
    value = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "wide"},
        "spec": {"namespaces": ["prod", "other", "nowhere"], "externalSecretSpec": es("wide")["spec"]},
    }

    def status() -> Any:
        return cluster.ask("GET", f"{path}/wide")[1].get("status") or {}

    with controller(cluster, tmp_path, "--controllers", "external") as running:
        cluster.make(path, value)
        until(lambda: status().get("provisionedNamespaces") == ["other", "prod"], running)
        assert status()["externalSecretName"] == "wide" and status()["conditions"][0]["status"] == "True"
        lost = {
            "data": [{"secretKey": "x", "remoteRef": {"key": "nowhere/at", "property": "all"}}],
            "refreshInterval": "1h",
        }
        cluster.ask("PATCH", f"{path}/wide", {"spec": {"externalSecretSpec": lost}})
        until(lambda: len(status().get("failedNamespaces") or ()) == 2, running)
        assert status()["conditions"][0] == {
            "type": "Ready",
            "status": "False",
            "message": "one or more namespaces failed",
        }
        assert "provisionedNamespaces" not in status()
    cluster.ask("DELETE", path)
