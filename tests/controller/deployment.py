"""The controller as a separate process, against a real API server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.servers.cluster import Cluster, free_port

SECONDS = 40.0


class Running(NamedTuple):
    """A controller that runs: where it answers, its process, and what it says."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self, **fields: str) -> list[dict[str, object]]:
        """The lines that have such fields."""
        lines = [orjson.loads(line) for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]
        return [one for one in lines if all(one.get(key) == text for key, text in fields.items())]

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """One request over HTTP."""
        request = urllib.request.Request(f"{self.url}{path}", body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> int:
        """Tells it to stop, and waits until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def controller(cluster: Cluster, folder: Path, *options: str | Path, name: str = "one") -> Iterator[Running]:
    """A controller for as long as it is needed."""
    port, log = free_port(), folder / f"{name}.log"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "gatekeeper",
        "controller",
        "run",
        "--kubeconfig",
        cluster.kubeconfig,
        "--listen",
        f"127.0.0.1:{port}",
        "--storage-path",
        folder / "storage",
        *options,
    ]
    environment = {**os.environ, "POD_NAME": name}
    with log.open("wb") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT, env=environment)
    running = Running(f"http://127.0.0.1:{port}", process, log)
    try:
        until(lambda: bool(running.said(message="started")), running)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)


def until(is_so: Callable[[], object], running: Running | None = None, seconds: float = SECONDS) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not is_so():
        said = running.log.read_text()[-4000:] if running else ""
        assert running is None or running.process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)
