"""The part of `make bench` on fetched secrets: against the real external-secrets, on the same API server and Vault."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.servers import cluster as servers
from tests.servers import operator, vault_server
from tests.servers.cluster import Cluster
from tests.servers.vault_server import TOKEN, VaultServer

COUNT, PATHS = 300, 50


def lines(gatekeeper: Path) -> list[str]:
    """What there is to say of it, a line each."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("cluster", "vault", "repository"):
            (folder / name).mkdir()
        with servers.running(folder / "cluster") as cluster, vault_server.running(folder / "vault") as vault:
            for number in range(PATHS):
                vault.client.secrets.kv.v2.create_or_update_secret(f"app/{number}", {"user": "u", "password": "p"})
            operator.install(cluster)
            theirs, their_reads = _theirs(cluster, vault, folder)
            ours, our_reads, again = _ours(gatekeeper, cluster, vault, folder / "repository")
    return [
        f"{COUNT} ExternalSecrets over {PATHS} paths of Vault, two properties each: 1/{theirs / ours:.1f} of the time of "
        f"external-secrets at its fastest settings, {our_reads} reads of Vault where it needs {their_reads}; "
        f"once more with nothing changed: {again / ours:.2f} of that time, and no write."
    ]


def _store(vault: VaultServer, namespace: str) -> dict[str, Any]:
    auth = {"tokenSecretRef": {"name": "vault", "key": "token", "namespace": namespace}}
    provider = {"vault": {"server": vault.url, "path": "secret", "auth": auth}}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": namespace},
        "spec": {"provider": provider},
    }


def _wanted(namespace: str) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "metadata": {"name": f"s{number}", "namespace": namespace},
            "spec": {
                "secretStoreRef": {"name": namespace, "kind": "ClusterSecretStore"},
                "data": [
                    {"secretKey": name, "remoteRef": {"key": f"app/{number % PATHS}", "property": name}}
                    for name in ("user", "password")
                ],
            },
        }
        for number in range(COUNT)
    ]


def _namespace(cluster: Cluster, name: str) -> None:
    cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
    held = {"metadata": {"name": "vault"}, "data": {"token": base64.b64encode(TOKEN.encode()).decode()}}
    cluster.make(f"/api/v1/namespaces/{name}/secrets", held)


def _reads(vault: VaultServer) -> int:
    return sum(vault.requests(f"secret/data/app/{number}") for number in range(PATHS))


def _theirs(cluster: Cluster, vault: VaultServer, folder: Path) -> tuple[float, int]:
    """From the moment that the operator starts, everything being there, until all Secrets are."""
    _namespace(cluster, "theirs")
    cluster.make("/apis/external-secrets.io/v1/clustersecretstores", _store(vault, "theirs"))
    path = "/apis/external-secrets.io/v1/namespaces/theirs/externalsecrets"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: cluster.make(path, value), _wanted("theirs")))
    began = time.monotonic()
    with operator.running(cluster, folder):
        operator.wait_for(cluster, "theirs", COUNT)
        return time.monotonic() - began, _reads(vault)


def _ours(gatekeeper: Path, cluster: Cluster, vault: VaultServer, root: Path) -> tuple[float, int, float]:
    _namespace(cluster, "ours")
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    (root / "all.yaml").write_text(yaml.safe_dump_all([_store(vault, "ours"), *_wanted("ours")]))
    before = _reads(vault)
    times = []
    for _ in range(2):
        began = time.monotonic()
        command: list[str | Path] = [gatekeeper, "sync", "--once", "--kubeconfig", cluster.kubeconfig, root]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr
        times.append(time.monotonic() - began)
    return times[0], (_reads(vault) - before) // 2, times[1]
