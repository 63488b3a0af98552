"""An HTTP server of the test's own whose answers are written down beforehand, right and wrong ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import yaml


class ServedAnswer(NamedTuple):
    """One answer.

    Attributes:
        length: what the header Content-Length says where that is not the truth; -1 for none.
        is_endless: whether the body is repeated until the client goes.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    length: int | None = None
    is_endless: bool = False


class ServedRequest(NamedTuple):
    """One request that has arrived."""

    path: str
    authorization: str


class SourceServer:
    """What a server answers by path, the last answer again and again, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[ServedRequest] = []
        self._answers: dict[str, list[ServedAnswer]] = {}
        self._lock = threading.Lock()

    def answer(self, path: str, *answers: ServedAnswer) -> None:
        """Writes down the answers for a path, in their order."""
        with self._lock:
            self._answers[path] = list(answers)

    def count(self, path: str) -> int:
        """How often a path was requested."""
        return sum(request.path == path for request in self.requests)

    def take(self, path: str, authorization: str) -> ServedAnswer:
        """The next answer for a path, with its query or else without."""
        with self._lock:
            self.requests.append(ServedRequest(path, authorization))
            known = self._answers.get(path) or self._answers.get(path.partition("?")[0])
            left = known or [ServedAnswer(b"there is nothing secret-text-of-the-server", 404)]
            return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def serving_sources(context: ssl.SSLContext | None = None) -> Iterator[SourceServer]:
    """A server on a free port of this machine, with TLS if a context is given."""
    served = SourceServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            """Logs nothing."""

        def do_GET(self) -> None:
            answer = served.take(self.path, self.headers.get("Authorization", ""))
            with suppress(OSError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.length is None else answer.length
                if length >= 0:
                    self.send_header("Content-Length", str(length))
                if length != len(answer.body):
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                while True:
                    self.wfile.write(answer.body)
                    if not answer.is_endless:
                        break

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pack_archive(name: str, version: str, note: str = "") -> bytes:
    """A chart as an archive; the same arguments lead to the same bytes."""
    chart = f"apiVersion: v2\nname: {name}\nversion: {version}\ndescription: '{note}'\n"
    return pack_files({f"{name}/Chart.yaml": chart, f"{name}/templates/a.yaml": "a: 1\n"})


def pack_files(files: Mapping[str, str], *others: tarfile.TarInfo) -> bytes:
    """An archive of files, and of further entries that have no content; the same arguments lead to the same bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for entry in others:
            archive.addfile(entry)
    return gzip.compress(content.getvalue(), mtime=0)


def publish_charts(server: SourceServer, charts: Mapping[tuple[str, str], bytes], **fields: Any) -> None:
    """Serves charts, by name and version, and an index of them.

    Args:
        fields: further fields of each entry.
    """
    entries: dict[str, list[dict[str, Any]]] = {}
    for (name, version), archive in charts.items():
        server.answer(f"/{name}-{version}.tgz", ServedAnswer(archive))
        digest = hashlib.sha256(archive).hexdigest()
        entry = {"name": name, "version": version, "urls": [f"{name}-{version}.tgz"], "digest": digest, **fields}
        entries.setdefault(name, []).append(entry)
    server.answer("/index.yaml", ServedAnswer(yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode()))


def digest_of(content: bytes) -> str:
    """The digest of some bytes as the store names them."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
