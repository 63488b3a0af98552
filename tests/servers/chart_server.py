"""A chart repository of the test's own, with charts that the real helm packed, behind a name and a password."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN

USER, PASSWORD = "helm", "a-password-of-the-charts"


def pack_chart(folder: Path, name: str, *versions: str) -> None:
    """Packs versions of a chart into a folder, and writes its index."""
    helm = str(DEFAULT_TOOLCHAIN.find("helm"))
    for version in versions:
        chart = folder.with_name("source") / version / name
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
        (chart / "templates" / "a.yaml").write_text("a: 1\n")
        subprocess.run([helm, "package", str(chart), "-d", str(folder)], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", str(folder)], check=True, capture_output=True)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves a folder to those who have the name and the password: the URL."""
    allowed = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Logs nothing."""

        def do_GET(self) -> None:
            if self.headers.get("Authorization") == allowed:
                super().do_GET()
            else:
                self.send_error(401)

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            super().send_error(code, HTTPStatus(code).phrase, explain)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
