"""The real sealed-secrets controller against an API server of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import server
from tests.servers.cluster import SECONDS, TOKEN, Cluster, free_port, started


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[str]:
    """The real controller, as it runs in a Pod: the URL where it shows its certificate.

    It finds its credentials in one fixed folder only; so it is given a `/run` of its own.
    """
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here, which the sealed-secrets controller needs")
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(TOKEN)
    shutil.copy(cluster.certificate, account / "ca.crt")
    there = "/run/secrets/kubernetes.io"
    script = f'mount -t tmpfs tmpfs /run && mkdir -p {there} && cp -r "$0" {there}/serviceaccount && exec "$@"'
    port, metrics = free_port(), free_port()
    host = cluster.url.removeprefix("https://").split(":")
    own = {"KUBERNETES_SERVICE_HOST": host[0], "KUBERNETES_SERVICE_PORT": host[1], "POD_NAMESPACE": "kube-system"}
    command = [
        unshare,
        "-rm",
        "sh",
        "-c",
        script,
        str(account),
        str(server("controller")),
        "--key-size",
        "2048",
        "--listen-addr",
        f"127.0.0.1:{port}",
        "--listen-metrics-addr",
        f"127.0.0.1:{metrics}",
        "--kubeclient-qps",
        "100",
        "--kubeclient-burst",
        "100",
    ]
    with started(command, folder / "controller.log", {**os.environ, **own}) as process:
        url = f"http://127.0.0.1:{port}/v1/cert.pem"
        end = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None and time.monotonic() < end, (folder / "controller.log").read_text()[-3000:]
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield url
