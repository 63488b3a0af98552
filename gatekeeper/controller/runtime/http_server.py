"""What a controller is asked over HTTP: its health, its figures, and what its parts answer; with TLS where need be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cheroot import wsgi

from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.worker import describe_fault
from gatekeeper.errors import GateError

# What is larger is no request of ours: the API server sends no object of more than 3 MB, old and new.
MAX_BODY_BYTES = 8 * 1024 * 1024
TIMEOUT_SECONDS = 10
SERVER_NAME = "gatekeeper"
THREADS = 8


class HttpRequest(NamedTuple):
    """A request, and the address that it comes from; names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client_address: str = ""


class HttpResponse(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


# Answers a request; None where it is about something else.
RequestHandler = Callable[[HttpRequest], HttpResponse | None]
STATUS_PHRASES = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class HttpServer:
    """Parts that answer at an address.

    Args:
        address: host and port; port 0 for a free one.
        certificate: files of a certificate and its key; None for no TLS.
    """

    def __init__(
        self,
        address: tuple[str, int],
        handlers: Iterable[RequestHandler],
        certificate_files: tuple[str, str] | None = None,
    ):
        self._handlers = list(handlers)
        self._server = wsgi.Server(
            address,
            self._serve_request,
            THREADS,
            SERVER_NAME,
            timeout=TIMEOUT_SECONDS,
            shutdown_timeout=TIMEOUT_SECONDS,
        )
        self._server.max_request_body_size = MAX_BODY_BYTES
        self._tls_adapter: Any = None
        if certificate_files is not None:
            from cheroot.ssl.builtin import BuiltinSSLAdapter

            self._tls_adapter = self._server.ssl_adapter = BuiltinSSLAdapter(*certificate_files)
        self._certificate_files = certificate_files

    def start(self) -> int:
        """Begins to listen; the port.

        Raises:
            OSError: somebody else listens there.
        """
        self._server.prepare()
        threading.Thread(target=self._server.serve, name="http", daemon=True).start()
        return int(self._server.bind_addr[1])

    def reload_certificate(self) -> None:
        """Takes the certificate from its files anew, for all that come from now on."""
        assert self._certificate_files is not None
        self._tls_adapter.context.load_cert_chain(*self._certificate_files)

    def stop(self) -> None:
        """Answers what has begun, and listens no more."""
        self._server.stop()

    def _serve_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        request = _parse_request(environ)
        answer: HttpResponse | None = None
        try:
            for part in self._handlers:
                answer = part(request)
                if answer is not None:
                    break
        except GateError as error:
            log_event("error", str(error), controller="http", path=request.path)
            answer = HttpResponse(503, b"the cluster does not answer\n")
        except Exception as error:
            # Whoever asks is told that it was not answered, not how; a fault in one request ends no server.
            log_event("error", describe_fault(error), controller="http", path=request.path)
            answer = HttpResponse(500, b"a fault of its own\n")
        answer = answer or HttpResponse(404, b"nothing is here\n")
        head = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {STATUS_PHRASES.get(answer.status, 'Unknown')}", head)
        return [answer.body]


def _parse_request(environ: Mapping[str, Any]) -> HttpRequest:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): str(held)
        for key, held in environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    body = environ["wsgi.input"].read(int(headers.get("content-length") or 0)) if headers.get("content-length") else b""
    path = str(environ.get("PATH_INFO") or "/")
    return HttpRequest(str(environ["REQUEST_METHOD"]), path, headers, body, str(environ.get("REMOTE_ADDR") or ""))
