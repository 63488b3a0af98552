"""The real external-secrets operator against an API server of the test's own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.servers import server
from tests.servers.cluster import SECONDS, Cluster, free_port, started
from tests.servers.programs import HERE

MODULE = "github.com/external-secrets/external-secrets"


def kinds() -> list[Path]:
    """The files with its CustomResourceDefinitions, in the module that it was built from."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", MODULE]
    done = subprocess.run(
        command, cwd=HERE / "external-secrets", capture_output=True, text=True, check=True, timeout=120
    )
    return sorted((Path(done.stdout.strip()) / "config" / "crds" / "bases").glob("*_*.yaml"))


def install(cluster: Cluster) -> None:
    """Makes its kinds known."""
    for path in kinds():
        value = yaml.safe_load(path.read_text())
        # Its webhook converts between versions of which only one is served.
        value["spec"].pop("conversion", None)
        cluster.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", value)
    cluster.wait("/apis/external-secrets.io/v1/clustersecretstores")
    cluster.wait("/apis/external-secrets.io/v1/externalsecrets")


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[None]:
    """The operator, at the settings at which it is fastest."""
    command = [
        str(server("external-secrets")),
        "--concurrent",
        "20",
        "--client-qps",
        "500",
        "--client-burst",
        "1000",
        "--metrics-addr",
        f"127.0.0.1:{free_port()}",
        "--live-addr",
        f"127.0.0.1:{free_port()}",
    ]
    with started(command, folder / "operator.log", {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}) as process:
        assert process.poll() is None
        yield


def wait_for(cluster: Cluster, namespace: str, count: int) -> None:
    """Waits until a namespace has so many Secrets that the operator made."""
    path = f"/api/v1/namespaces/{namespace}/secrets?labelSelector=reconcile.external-secrets.io/managed%3Dtrue"
    end = time.monotonic() + SECONDS
    while len(cluster.ask("GET", path)[1]["items"]) < count:
        assert time.monotonic() < end, f"the operator did not make {count} Secrets"
        time.sleep(0.05)


def wait_until_told(cluster: Cluster, namespace: str, count: int) -> None:
    """Waits until so many ExternalSecrets of a namespace have a status."""
    path = f"/apis/external-secrets.io/v1/namespaces/{namespace}/externalsecrets"
    end = time.monotonic() + SECONDS
    while sum("syncedResourceVersion" in one.get("status", {}) for one in cluster.ask("GET", path)[1]["items"]) < count:
        assert time.monotonic() < end, f"the operator did not tell of {count} ExternalSecrets"
        time.sleep(0.05)
