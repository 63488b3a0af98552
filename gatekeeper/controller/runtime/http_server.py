"""The controller's HTTP server: it passes each request to the handlers of the components; with TLS if configured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from gatekeeper.controller.runtime.log import describe_fault, log_event
from gatekeeper.errors import GatekeeperError
from gatekeeper.named_tuple import NamedTuple

# The API server stores no object above 3 MB; an AdmissionReview holds two of them, the old and the new one.
MAX_BODY_BYTES = 8 * 1024 * 1024
TIMEOUT_SECONDS = 10
SERVER_NAME = "gatekeeper"
THREADS = 8


class HttpRequest(NamedTuple):
    """A request and the address of its client; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client_address: str = ""


class HttpResponse(NamedTuple):
    """A response."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


# Returns None for a request that another handler answers.
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
    """Serves handlers at one address.

    Args:
        address: host and port; port 0 for a free one.
        certificate_files: paths of a certificate and its key; None for plain HTTP.
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
            self._tls_adapter = self._server.ssl_adapter = BuiltinSSLAdapter(*certificate_files)
        self._certificate_files = certificate_files

    def start(self) -> int:
        """Start listening in a thread.

        Returns:
            The port.

        Raises:
            OSError: the address is in use.
        """
        self._server.prepare()
        threading.Thread(target=self._server.serve, name="http", daemon=True).start()
        return int(self._server.bind_addr[1])

    def reload_certificate(self) -> None:
        """Read the certificate files again; new connections use them."""
        assert self._certificate_files is not None
        self._tls_adapter.context.load_cert_chain(*self._certificate_files)

    def stop(self) -> None:
        """Answer the requests in progress, then stop listening."""
        self._server.stop()

    def _serve_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        request = _parse_request(environ)
        try:
            response = self._dispatch(request)
        except GatekeeperError as error:
            log_event("error", str(error), controller="http", path=request.path)
            response = HttpResponse(503, b"request failed; see the log\n")
        except Exception as error:
            # An internal error in one request must not end the server; the client does not learn its cause.
            log_event("error", describe_fault(error), controller="http", path=request.path)
            response = HttpResponse(500, b"internal error\n")
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        start_response(f"{response.status} {STATUS_PHRASES.get(response.status, 'Unknown')}", headers)
        return [response.body]

    def _dispatch(self, request: HttpRequest) -> HttpResponse:
        for handler in self._handlers:
            response = handler(request)
            if response is not None:
                return response
        return HttpResponse(404, b"not found\n")


def _parse_request(environ: Mapping[str, Any]) -> HttpRequest:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): str(text)
        for key, text in environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    length = int(headers.get("content-length") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    path = str(environ.get("PATH_INFO") or "/")
    return HttpRequest(str(environ["REQUEST_METHOD"]), path, headers, body, str(environ.get("REMOTE_ADDR") or ""))
