"""A Kubernetes API server of the test's own, with its etcd.

There is no kubelet and no controller manager: nothing runs in it, and what is owned is not collected.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers import server

TOKEN = "token-of-the-test"
SECONDS = 60.0
DISABLE = "--disable-admission-plugins"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "sealedsecrets.bitnami.com"},
    "spec": {
        "group": "bitnami.com",
        "scope": "Namespaced",
        "names": {
            "kind": "SealedSecret",
            "listKind": "SealedSecretList",
            "plural": "sealedsecrets",
            "singular": "sealedsecret",
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class Cluster(NamedTuple):
    """An API server: where it listens, its certificate, and a kubeconfig that may do everything."""

    url: str
    certificate: Path
    kubeconfig: Path

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """One request: the status, and what was answered."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        body = orjson.dumps(value) if value is not None else None
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                content = answer.read()
                return answer.status, orjson.loads(content) if content[:1] in b"{[" else content
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def make(self, path: str, value: Any) -> None:
        """Creates an object."""
        status, said = self.ask("POST", path, value)
        assert status in (200, 201), said

    def wait(self, path: str, seconds: float = SECONDS) -> Any:
        """An object, once it is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status, value = self.ask("GET", path)
            if status == 200:
                return value
            time.sleep(0.05)
        raise AssertionError(f"{path} was not there after {seconds:g} seconds")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program for as long as it is needed."""
    with log.open("wb") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


class Machine:
    """etcd and an API server, which can be stopped and started again on the same data."""

    def __init__(self, folder: Path, stack: ExitStack, options: Sequence[str] = ()) -> None:
        self._folder, self._stack = folder, stack
        client, peer, port = free_port(), free_port(), free_port()
        etcd = [
            str(server("etcd")),
            "--data-dir",
            str(folder / "etcd"),
            "--unsafe-no-fsync",
            "--listen-client-urls",
            f"http://127.0.0.1:{client}",
            "--advertise-client-urls",
            f"http://127.0.0.1:{client}",
            "--listen-peer-urls",
            f"http://127.0.0.1:{peer}",
        ]
        signer = folder / "sa.key"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        signer.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        tokens = folder / "tokens.csv"
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        self._command = [
            str(server("kube-apiserver")),
            "--etcd-servers",
            f"http://127.0.0.1:{client}",
            "--bind-address",
            "127.0.0.1",
            "--secure-port",
            str(port),
            "--cert-dir",
            str(folder / "certs"),
            "--token-auth-file",
            str(tokens),
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--service-account-key-file",
            str(signer),
            "--service-account-signing-key-file",
            str(signer),
            "--authorization-mode",
            "RBAC",
            "--service-cluster-ip-range",
            "10.0.0.0/24",
            # Several of these options add up.
            *(() if DISABLE in options else (DISABLE, "ServiceAccount")),
            *options,
        ]
        self.cluster = Cluster(f"https://127.0.0.1:{port}", folder / "certs" / "apiserver.crt", folder / "kubeconfig")
        self.etcd = stack.enter_context(started(etcd, folder / "etcd.log"))
        self.start()
        _write_kubeconfig(self.cluster)

    def start(self) -> None:
        """Starts the API server, and waits until it is ready."""
        self._api = self._stack.enter_context(started(self._command, self._folder / "apiserver.log"))
        end = time.monotonic() + SECONDS
        while not _is_ready(self.cluster):
            log = self._folder / "apiserver.log"
            assert self._api.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the API server at once, as when its machine is gone."""
        self._api.kill()
        self._api.wait(15)


@contextmanager
def machine(folder: Path, options: Sequence[str] = ()) -> Iterator[Machine]:
    """An API server with nothing in it, that can be stopped.

    Args:
        options: of the API server; the last of two counts.
    """
    with ExitStack() as stack:
        yield Machine(folder, stack, options)


@contextmanager
def running(folder: Path, options: Sequence[str] = ()) -> Iterator[Cluster]:
    """An API server with nothing in it."""
    with machine(folder, options) as found:
        yield found.cluster


def _is_ready(cluster: Cluster) -> bool:
    try:
        return cluster.certificate.exists() and cluster.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def _write_kubeconfig(cluster: Cluster) -> None:
    known = {"server": cluster.url, "certificate-authority": str(cluster.certificate)}
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": known}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    cluster.kubeconfig.write_text(yaml.safe_dump(value))
