"""A proxy in front of a real server that injects faults of servers and networks."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Faults:
    """What the door does with the next requests, in order: a status, `cut`, `slow`, `no JSON`, `reset`; then no more."""

    def __init__(self) -> None:
        self.next: list[int | str] = []
        self.after: str = ""
        self.body = b'{"errors": ["of a bad day"]}'
        self.seen = 0
        self.lock = threading.Lock()
        # Whoever is slow waits for this, and not for a time.
        self.over = threading.Event()
        self.url = ""

    def take(self) -> int | str:
        with self.lock:
            self.seen += 1
            return self.next.pop(0) if self.next else ""


@contextmanager
def door(server: str) -> Iterator[Faults]:
    """A door in front of a server; its own address is `url`."""
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Log nothing."""

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            fault = faults.take()
            if fault == "slow":
                faults.over.wait(30)
                return
            if fault == "reset":
                self.connection.close()
                return
            if isinstance(fault, int):
                self._answer(fault, faults.body, {"Retry-After": faults.after})
                return
            own = ("host", "connection", "content-length", "accept-encoding", "expect")
            headers = {key: value for key, value in self.headers.items() if key.lower() not in own}
            request = urllib.request.Request(f"{server}{self.path}", body, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            if fault == "no JSON":
                content = b"<html>welcome</html>"
            self._answer(status, content, {}, len(content) // 2 if fault == "cut" else None)

        def _answer(self, status: int, content: bytes, headers: dict[str, str], sent: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[:sent])
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_LIST = _any

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is not an error of the proxy."""

    listening = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    faults.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield faults
    finally:
        faults.over.set()
        listening.shutdown()
        listening.server_close()
        thread.join()
