"""What a controller is asked over HTTP: its health, its figures, and what its parts answer; with TLS where need be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cheroot import wsgi

from gatekeeper.controller.runtime.telemetry import say
from gatekeeper.controller.runtime.worker import fault
from gatekeeper.errors import GateError

# What is larger is no request of ours: the API server sends no object of more than 3 MB, old and new.
MOST_BYTES = 8 * 1024 * 1024
SECONDS = 10
NAME = "gatekeeper"
THREADS = 8


class Request(NamedTuple):
    """A request, and the address that it comes from; names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    address: str = ""


class Answer(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    content: str = "text/plain; charset=utf-8"


# Answers a request; None where it is about something else.
Part = Callable[[Request], Answer | None]
WORDS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
         409: "Conflict", 413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error",
         503: "Service Unavailable"}  # fmt: skip


class Server:
    """Parts that answer at an address.

    Args:
        address: host and port; port 0 for a free one.
        certificate: files of a certificate and its key; None for no TLS.
    """

    def __init__(self, address: tuple[str, int], parts: Iterable[Part], certificate: tuple[str, str] | None = None):
        self._parts = list(parts)
        self._server = wsgi.Server(address, self._answer, THREADS, NAME, timeout=SECONDS, shutdown_timeout=SECONDS)
        self._server.max_request_body_size = MOST_BYTES
        self._adapter: Any = None
        if certificate is not None:
            from cheroot.ssl.builtin import BuiltinSSLAdapter

            self._adapter = self._server.ssl_adapter = BuiltinSSLAdapter(*certificate)
        self._certificate = certificate

    def start(self) -> int:
        """Begins to listen; the port.

        Raises:
            OSError: somebody else listens there.
        """
        self._server.prepare()
        threading.Thread(target=self._server.serve, name="http", daemon=True).start()
        return int(self._server.bind_addr[1])

    def renew(self) -> None:
        """Takes the certificate from its files anew, for all that come from now on."""
        assert self._certificate is not None
        self._adapter.context.load_cert_chain(*self._certificate)

    def stop(self) -> None:
        """Answers what has begun, and listens no more."""
        self._server.stop()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        request = _request(environ)
        answer: Answer | None = None
        try:
            for part in self._parts:
                answer = part(request)
                if answer is not None:
                    break
        except GateError as error:
            say("error", str(error), controller="http", path=request.path)
            answer = Answer(503, b"the cluster does not answer\n")
        except Exception as error:
            # Whoever asks is told that it was not answered, not how; a fault in one request ends no server.
            say("error", fault(error), controller="http", path=request.path)
            answer = Answer(500, b"a fault of its own\n")
        answer = answer or Answer(404, b"nothing is here\n")
        head = [("Content-Type", answer.content), ("Content-Length", str(len(answer.body)))]
        start(f"{answer.status} {WORDS.get(answer.status, 'Unknown')}", head)
        return [answer.body]


def _request(environ: Mapping[str, Any]) -> Request:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): str(held)
        for key, held in environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    body = environ["wsgi.input"].read(int(headers.get("content-length") or 0)) if headers.get("content-length") else b""
    path = str(environ.get("PATH_INFO") or "/")
    return Request(str(environ["REQUEST_METHOD"]), path, headers, body, str(environ.get("REMOTE_ADDR") or ""))
