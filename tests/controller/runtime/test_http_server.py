"""The HTTP server, over a real socket."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse, HttpServer, RequestHandler
from gatekeeper.errors import ToolError


@contextmanager
def serving(*handlers: RequestHandler) -> Iterator[str]:
    server = HttpServer(("127.0.0.1", 0), handlers)
    try:
        yield f"http://127.0.0.1:{server.start()}"
    finally:
        server.stop()


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {name.replace("_", "-"): text for name, text in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_first_handler_that_answers_counts() -> None:
    def first(request: HttpRequest) -> HttpResponse | None:
        return HttpResponse(200, b"first") if request.path == "/a" else None

    def second(request: HttpRequest) -> HttpResponse | None:
        return HttpResponse(202, b"second") if request.path in ("/a", "/b") else None

    with serving(first, second) as url:
        assert ask(f"{url}/a") == (200, b"first")
        assert ask(f"{url}/b") == (202, b"second")
        assert ask(f"{url}/c") == (404, b"not found\n")


def test_a_handler_sees_method_headers_body_and_client() -> None:
    seen = list[HttpRequest]()

    def handle(request: HttpRequest) -> HttpResponse | None:
        seen.append(request)
        return HttpResponse(200)

    with serving(handle) as url:
        assert ask(f"{url}/x?y=1", b"body", X_Token="secret")[0] == 200
    [request] = seen
    assert (request.method, request.path, request.body, request.client_address) == ("POST", "/x", b"body", "127.0.0.1")
    assert request.headers["x-token"] == "secret"


def test_errors_are_logged_and_not_sent_to_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(request: HttpRequest) -> HttpResponse | None:
        if request.path == "/tool":
            raise ToolError("10.0.0.1 refused the connection")
        raise ValueError("hunter2")

    with serving(handle) as url:
        assert ask(f"{url}/tool") == (503, b"request failed; see the log\n")
        assert ask(f"{url}/fault") == (500, b"internal error\n")
    logged = capsys.readouterr().out
    assert "10.0.0.1 refused the connection" in logged
    assert "internal error: ValueError" in logged and "hunter2" not in logged
