"""The part of `make bench` on fetched secrets: against the real external-secrets, on the same API server and Vault."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import yaml
from moto.server import ThreadedMotoServer

from tests.bench.measurement import run
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
            many = _many(gatekeeper, cluster, vault, folder)
        batches = _batches(gatekeeper, folder)
    return [
        f"{COUNT} ExternalSecrets with {PATHS} paths of Vault, two properties each: 1/{theirs / ours:.1f} of the time of "
        f"external-secrets at its fastest settings, and {our_reads} reads of Vault; external-secrets makes {their_reads}. "
        f"A second run with nothing changed: {again / ours:.2f} of that time, and no write.",
        f"2,500 ExternalSecrets with 500 secrets of AWS: {batches} requests.",
        *many,
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


def _wanted(namespace: str, count: int = COUNT, paths: int = PATHS) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "metadata": {"name": f"s{number}", "namespace": namespace},
            "spec": {
                "refreshInterval": "9000h",
                "secretStoreRef": {"name": namespace, "kind": "ClusterSecretStore"},
                "data": [
                    {"secretKey": name, "remoteRef": {"key": f"app/{number % paths}", "property": name}}
                    for name in ("user", "password")
                ],
            },
        }
        for number in range(count)
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


def _many(gatekeeper: Path, cluster: Cluster, vault: VaultServer, folder: Path) -> list[str]:
    """Ten thousand over 200 paths: from a repository, and from the cluster itself with status and events."""
    for number in range(200):
        vault.client.secrets.kv.v2.create_or_update_secret(f"app/{number}", {"user": "u", "password": "p"})
    root = folder / "many"
    root.mkdir()
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    spaces = [f"many-{number}" for number in range(20)]
    for space in spaces:
        _namespace(cluster, space)
        values = [_store(vault, space), *_wanted(space, 500, 200)]
        (root / f"{space}.yaml").write_text(yaml.dump_all(values, Dumper=yaml.CSafeDumper))
    once = (gatekeeper, "sync", "--once", "--kubeconfig", cluster.kubeconfig)
    first = run([*once, root])
    again = run([*once, root])
    for space in spaces:
        path = f"/apis/external-secrets.io/v1/namespaces/{space}/externalsecrets"
        cluster.make("/apis/external-secrets.io/v1/clustersecretstores", _store(vault, space))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda value, to=path: cluster.make(to, value), _wanted(space, 500, 200)))
    taken = run([*once, "--from-cluster", root])
    before = _reads(vault)
    idle = run([*once, "--from-cluster", root])
    reads = _reads(vault) - before
    return [
        f"10,000 ExternalSecrets from a repository into a cluster on the same two cores: {first[0]:.0f} s, {first[1]} MB. "
        f"A second run with nothing changed and no write: {again[0]:.0f} s.",
        f"The same 10,000 from the cluster, each with its status and owner: {taken[0]:.0f} s, {taken[1]} MB. A second run "
        f"within their interval: {idle[0]:.0f} s, {reads} reads.",
    ]


def _batches(gatekeeper: Path, folder: Path) -> int:
    """How many requests AWS gets for 2,500 ExternalSecrets over 500 secrets; moto stands in for it."""
    root = folder / "aws"
    root.mkdir()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true", **keys}
    try:
        manager = boto3.client("secretsmanager", region_name="eu-west-1")
        for number in range(500):
            manager.create_secret(Name=f"app/{number}", SecretString='{"user": "u", "password": "p"}')
        provider = {"aws": {"service": "SecretsManager", "region": "eu-west-1"}}
        store = {**_store(VaultServer("", None), "aws"), "spec": {"provider": provider}}
        (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
        (root / "all.yaml").write_text(yaml.dump_all([store, *_wanted("aws", 2500, 500)], Dumper=yaml.CSafeDumper))
        command: list[str | Path] = [gatekeeper, "sync", "--dry-run", root]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr
        return int(done.stdout.splitlines()[-1].split(": ")[1].split()[0])
    finally:
        server.stop()
        for name in ("AWS_ENDPOINT_URL", *keys):
            del os.environ[name]
