"""The controller on SealedSecrets, against a real API server and the real kubeseal."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.host.process import run_command
from gatekeeper.sealedsecrets import keyring
from tests.conftest import command, needs
from tests.controller.deployment import Running, controller, until
from tests.servers import cluster as servers
from tests.servers import server
from tests.servers.cluster import Cluster

SEALED = "/apis/bitnami.com/v1alpha1/namespaces/prod/sealedsecrets"
SECRETS = "/api/v1/namespaces/prod/secrets"
KEYS = "/api/v1/namespaces/kube-system/secrets"
VALUE = "s3cr3t-of-the-test"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        found.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", servers.CRD)
        found.wait("/apis/bitnami.com/v1alpha1/sealedsecrets")
        found.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        yield found


@pytest.fixture(autouse=True)
def clean(cluster: Cluster) -> Iterator[None]:
    yield
    for path in (SEALED, SECRETS, KEYS, "/api/v1/namespaces/prod/events"):
        cluster.ask("DELETE", path)


def own_address() -> str:
    """An address of this machine that an API server may be told of; loopback is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    if found.startswith("127."):
        pytest.skip("this machine has no address but loopback, which an API server does not proxy to")
    return found


def sealed(running: Running, tmp_path: Path, name: str = "db", **more: Any) -> dict[str, Any]:
    """A SealedSecret by the real kubeseal, for the certificate that the controller gives."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "prod", "labels": {"app": "shop"}},
        "data": {"password": base64.b64encode(VALUE.encode()).decode()},
        **more,
    }
    until(lambda: running.ask("/v1/cert.pem")[0] == 200, running)
    words: list[str | Path] = [server("kubeseal"), "--cert", f"{running.url}/v1/cert.pem", "-o", "json"]
    code, out, told = run_command(words, 60, stdin=orjson.dumps(secret), allow_network=True)
    assert code == 0, told
    value: dict[str, Any] = orjson.loads(out)
    return value


def opened(cluster: Cluster, name: str = "db") -> Any:
    code, value = cluster.ask("GET", f"{SECRETS}/{name}")
    return (
        {key: base64.b64decode(text).decode() for key, text in (value.get("data") or {}).items()}
        if code == 200
        else None
    )


def synced(cluster: Cluster, name: str = "db") -> tuple[str, str]:
    value = cluster.ask("GET", f"{SEALED}/{name}")[1]
    held = (value.get("status") or {}).get("conditions") or [{}]
    return held[0].get("status", ""), held[0].get("message", "")


def test_secret_sealed_by_kubeseal_is_unsealed_and_restored_after_a_change(cluster: Cluster, tmp_path: Path) -> None:
    with controller(cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system") as running:
        cluster.make(SEALED, sealed(running, tmp_path))
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        until(lambda: synced(cluster) == ("True", ""), running)
        found = cluster.ask("GET", f"{SECRETS}/db")[1]
        [owner] = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("SealedSecret", "db", True)
        assert found["metadata"]["labels"] == {"app": "shop"}
        cluster.ask("PATCH", f"{SECRETS}/db", {"data": {"password": "aGVsbG8="}})
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        cluster.ask("PATCH", f"{SECRETS}/db", {"data": {"password": None}})
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        cluster.ask("DELETE", f"{SECRETS}/db")
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        # Another value: kubeseal's merge is what a user does.
        cluster.ask("PATCH", f"{SEALED}/db", {"spec": {"encryptedData": {"password": "AgBy"}}})
        until(lambda: synced(cluster)[0] == "False", running)
        assert "`spec.encryptedData.password`" in synced(cluster)[1] and opened(cluster) == {"password": VALUE}
        assert VALUE not in running.log.read_text()
        events = cluster.ask("GET", "/api/v1/namespaces/prod/events")[1]["items"]
        assert {one["reason"] for one in events} == {"Unsealed", "ErrUnsealFailed"}


def test_secret_of_another_owner_is_kept_until_it_is_marked(cluster: Cluster, tmp_path: Path) -> None:
    with controller(cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system") as running:
        for name in ("db", "part"):
            cluster.make(SECRETS, {"metadata": {"name": name}, "stringData": {"mine": "1"}})
            cluster.make(SEALED, sealed(running, tmp_path, name))
        until(lambda: "exists and does not belong to this SealedSecret" in synced(cluster)[1], running)
        assert opened(cluster) == {"mine": "1"}
        mark = {"metadata": {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}}
        cluster.ask("PATCH", f"{SECRETS}/db", mark)
        cluster.ask(
            "PATCH", f"{SECRETS}/part", {"metadata": {"annotations": {"sealedsecrets.bitnami.com/patch": "true"}}}
        )
        nudge = {"metadata": {"annotations": {"again": "1"}}}
        for name in ("db", "part"):
            cluster.ask("PATCH", f"{SEALED}/{name}", nudge)
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        until(lambda: opened(cluster, "part") == {"mine": "1", "password": VALUE}, running)
        assert "ownerReferences" not in cluster.ask("GET", f"{SECRETS}/part")[1]["metadata"]


def test_a_secret_that_cannot_be_changed_is_made_again_and_templates_name_no_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    with controller(cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system") as running:
        value = sealed(running, tmp_path, immutable=True)
        value["spec"]["template"]["metadata"] |= {"name": "other", "namespace": "kube-system"}
        cluster.make(SEALED, value)
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        assert cluster.ask("GET", f"{KEYS}/other")[0] == 404
        again = sealed(running, tmp_path, data={"password": base64.b64encode(b"other").decode()}, immutable=True)
        cluster.ask("PATCH", f"{SEALED}/db", {"spec": {"encryptedData": again["spec"]["encryptedData"]}})
        until(lambda: opened(cluster) == {"password": "other"}, running)


def test_keys_are_rotated_and_old_keys_still_decrypt(cluster: Cluster, tmp_path: Path) -> None:
    # A key that is half a day old, and one that is broken.
    certificate, private = keyring.create_key_pair(2048, 10, _now(hours=-12))
    cluster.make(KEYS, keyring.build_key_secret(certificate, private, "sealed-secrets-keyold", "kube-system"))
    broken = keyring.build_key_secret(b"x", b"y", "sealed-secrets-keybad", "kube-system")
    cluster.make(KEYS, broken)
    with controller(cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system") as running:
        until(lambda: running.ask("/v1/cert.pem")[1] == certificate, running)
        cluster.make(SEALED, sealed(running, tmp_path))
        until(lambda: opened(cluster) == {"password": VALUE}, running)
    with controller(
        cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system", "--key-renew-days", "0.4"
    ) as running:
        # Until the keys are read, the answer is a message and no certificate.
        until(lambda: _serves_other_certificate(running, certificate), running)
        cluster.ask("DELETE", f"{SECRETS}/db")
        until(lambda: opened(cluster) == {"password": VALUE}, running)
        assert len(cluster.ask("GET", KEYS)[1]["items"]) == 3


def _serves_other_certificate(running: Any, certificate: bytes) -> bool:
    served = running.ask("/v1/cert.pem")[1]
    return bool(served.startswith(b"-----BEGIN CERTIFICATE") and served != certificate)


def _now(hours: int) -> Any:
    import datetime

    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)


@needs("gatekeeper-upstream")
def test_kubeseal_gets_the_certificate_through_the_api_server_proxy_only(cluster: Cluster, tmp_path: Path) -> None:
    address = own_address()
    options = (
        "--controllers",
        "sealed",
        "-n",
        "kube-system",
        "--listen",
        f"{address}:0",
        "--proxy-from",
        f"{address}/32",
    )
    with controller(cluster, tmp_path, *options) as running:
        port = running.said(message="listening")[0]["port"]
        through = Running(f"http://{address}:{port}", running.process, running.log)
        until(lambda: through.ask("/v1/cert.pem")[0] == 200, running)
        service(cluster, address, int(str(port)))
        value = sealed(through, tmp_path)
        # A template that would tell of the value is not filled.
        value["spec"]["template"]["data"] = {"x": '{{ fail "asked" }}'}
        assert kubeseal(cluster, "--fetch-cert")[1].encode().strip() == through.ask("/v1/cert.pem")[1].strip()
        text = orjson.dumps(value)
        time.sleep(1)
        assert kubeseal(cluster, "--validate", stdin=text)[0] == 0
        moved = orjson.dumps({**value, "metadata": {**value["metadata"], "name": "elsewhere"}})
        time.sleep(1)
        assert kubeseal(cluster, "--validate", stdin=moved)[0] != 0
        time.sleep(1)
        code, out = kubeseal(cluster, "--re-encrypt", "-o", "json", stdin=text)
        assert code == 0 and orjson.loads(out)["spec"]["encryptedData"].keys() == {"password"}
        assert through.ask("/v1/verify", text)[0] in (200, 429)
    with controller(cluster, tmp_path, "--controllers", "sealed", "-n", "kube-system") as running:
        until(lambda: running.ask("/v1/cert.pem")[0] == 200, running)
        for path in ("/v1/verify", "/v1/rotate"):
            code, said = running.ask(path, text)
            assert code == 403 and b"through the API server" in said
    cluster.ask("DELETE", "/api/v1/namespaces/kube-system/services/sealed-secrets-controller")


def kubeseal(cluster: Cluster, *words: str, stdin: bytes = b"") -> tuple[int, str]:
    code, out, told = run_command(
        [server("kubeseal"), "--kubeconfig", cluster.kubeconfig, *words], 60, stdin=stdin, allow_network=True
    )
    return code, out.decode() or told


def service(cluster: Cluster, address: str, port: int) -> None:
    """A Service that leads to the controller, as a cluster would have it."""
    name = {"name": "sealed-secrets-controller", "namespace": "kube-system"}
    ports = [{"name": "http", "port": 8080, "targetPort": port}]
    cluster.make("/api/v1/namespaces/kube-system/services", {"metadata": name, "spec": {"ports": ports}})
    # An API server leads to Pods alone.
    pod = {"metadata": name, "spec": {"containers": [{"name": "gatekeeper", "image": "gatekeeper"}]}}
    cluster.make("/api/v1/namespaces/kube-system/pods", pod)
    there = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    cluster.ask("PATCH", f"/api/v1/namespaces/kube-system/pods/{name['name']}/status", there)
    target = {"kind": "Pod", **name}
    ends = {
        "subsets": [{"addresses": [{"ip": address, "targetRef": target}], "ports": [{"name": "http", "port": port}]}]
    }
    cluster.make("/api/v1/namespaces/kube-system/endpoints", {"metadata": name, **ends})


def test_missing_crd_is_reported(tmp_path: Path) -> None:
    with servers.running(tmp_path) as bare:
        code, _, err = command("controller", "run", "--controllers", "sealed", "--kubeconfig", bare.kubeconfig)
        assert code == 3 and "install the CRDs of sealed-secrets" in err
