"""A real Vault of the test's own, in memory, with KV secrets of both versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hvac

from tests.servers import server
from tests.servers.cluster import free_port, started

TOKEN = "root-token-of-the-test"
SECONDS = 30.0


class VaultServer(NamedTuple):
    """A Vault: its URL, and a client that may do everything."""

    url: str
    client: Any

    def requests(self, path: str) -> int:
        """How many reads of a path Vault itself has counted in its audit log."""
        return sum(
            f'"path":"{path}"' in line and '"type":"request"' in line for line in self.log.read_text().splitlines()
        )

    @property
    def log(self) -> Path:
        """Vault's audit log."""
        return Path(self.client.sys.list_enabled_audit_devices()["data"]["file/"]["options"]["file_path"])


@contextmanager
def running(folder: Path, tls: bool = False) -> Iterator[VaultServer]:
    """A Vault in development mode; KV of version 2 is at `secret/`, of version 1 at `old/`.

    Args:
        tls: with a certificate that `vault-ca.pem` in the folder vouches for.
    """
    port = free_port()
    command = [
        str(server("vault")), "server", "-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}",
        "-dev-no-store-token", *(["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else []),
    ]  # fmt: skip
    with started(command, folder / "vault.log") as process:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        client = hvac.Client(url=url, token=TOKEN, timeout=10, verify=str(folder / "vault-ca.pem") if tls else True)
        end = time.monotonic() + SECONDS
        while not _is_ready(client):
            assert process.poll() is None and time.monotonic() < end, (folder / "vault.log").read_text()[-2000:]
            time.sleep(0.05)
        client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        client.sys.enable_audit_device("file", options={"file_path": str(folder / "audit.log")})
        yield VaultServer(url, client)


def _is_ready(client: Any) -> bool:
    try:
        return bool(client.sys.is_initialized() and not client.sys.is_sealed() and client.is_authenticated())
    except Exception:
        return False
