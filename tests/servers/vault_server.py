"""A real Vault of the test's own, in memory, with KV secrets of both versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
        str(server("vault")),
        "server",
        "-dev",
        f"-dev-root-token-id={TOKEN}",
        f"-dev-listen-address=127.0.0.1:{port}",
        "-dev-no-store-token",
        *(["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else []),
    ]
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


class Kept:
    """A Vault that keeps what it has on a disk, so that it can be stopped, started, and unsealed again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (folder / "data").mkdir()
        (folder / "vault.hcl").write_text(
            f'storage "file" {{ path = "{folder / "data"}" }}\ndisable_mlock = true\n'
            f'listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}\n'
        )
        self.client: Any = hvac.Client(url=self.url, timeout=10)
        self._key = ""

    def start(self) -> None:
        """Starts it; it is sealed, unless it is the first time."""
        command = [str(server("vault")), "server", f"-config={self._folder / 'vault.hcl'}"]
        self._stack.enter_context(started(command, self._folder / "vault.log"))
        end = time.monotonic() + SECONDS
        while True:
            try:
                is_new = not self.client.sys.is_initialized()
                break
            except Exception:
                assert time.monotonic() < end, (self._folder / "vault.log").read_text()[-2000:]
                time.sleep(0.05)
        if is_new:
            given = self.client.sys.initialize(1, 1)
            self._key, self.client.token = given["keys"][0], given["root_token"]
            self.unseal()
            self.client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})

    def unseal(self) -> None:
        """Unseals it, and waits until it is ready."""
        self.client.sys.submit_unseal_key(self._key)
        end = time.monotonic() + SECONDS
        while not _is_ready(self.client):
            assert time.monotonic() < end
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it."""
        self._stack.close()


@contextmanager
def kept(folder: Path) -> Iterator[Kept]:
    """A Vault that can be restarted."""
    found = Kept(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def _is_ready(client: Any) -> bool:
    try:
        return bool(client.sys.is_initialized() and not client.sys.is_sealed() and client.is_authenticated())
    except Exception:
        return False
