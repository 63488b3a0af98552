"""Charts from a chart repository: the version that matches, its files, and who may read them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.repositories import helm_repository
from gatekeeper.repositories.helm_repository import Chart
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs
from tests.servers import chart_server

pytestmark = needs("helm")

KEYS = {"username": SecretBytes(chart_server.USER.encode()), "password": SecretBytes(chart_server.PASSWORD.encode())}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A chart repository with three versions of `web` and one of `web-extra`: its URL and folder."""
    folder = tmp_path_factory.mktemp("charts") / "served"
    folder.mkdir()
    chart_server.pack_chart(folder, "web", "1.0.0", "1.2.0", "2.0.0")
    chart_server.pack_chart(folder, "web-extra", "9.0.0")
    with chart_server.serving(folder) as url:
        yield url, folder


@pytest.mark.parametrize(
    ("version_range", "version"), [("1.x", "1.2.0"), ("1.0.0", "1.0.0"), ("*", "2.0.0"), (">=1.0.0 <1.2.0", "1.0.0")]
)
def test_the_newest_version_in_the_range_is_chosen(served: tuple[str, Path], version_range: str, version: str) -> None:
    assert helm_repository.resolve_version(Chart(served[0], "web", version_range), KEYS) == version


@pytest.mark.parametrize(("name", "version_range"), [("web", "3.x"), ("none", "*"), ("we", "*")])
def test_a_chart_or_version_that_is_missing_is_an_error(
    served: tuple[str, Path], name: str, version_range: str
) -> None:
    with pytest.raises(ToolError, match=f"chart {name} not found"):
        helm_repository.resolve_version(Chart(served[0], name, version_range), KEYS)


def test_a_repository_refuses_a_wrong_password_and_no_message_repeats_it(served: tuple[str, Path]) -> None:
    chart = Chart(served[0], "web", "*")
    for keys in ({}, {**KEYS, "password": SecretBytes(b"hidden-word")}):
        with pytest.raises(ToolError, match="user name and password") as caught:
            helm_repository.resolve_version(chart, keys)
        assert "hidden-word" not in str(caught.value) and chart_server.PASSWORD not in str(caught.value)


def test_a_repository_that_is_none_or_does_not_answer_is_an_error(served: tuple[str, Path]) -> None:
    with pytest.raises(ToolError, match=r"has no `index\.yaml`"):
        helm_repository.resolve_version(Chart(f"{served[0]}/nothing", "web", "*"), KEYS)
    with pytest.raises(ToolError, match=r"^http://127\.0\.0\.1:1: helm repo failed"):
        helm_repository.resolve_version(Chart("http://127.0.0.1:1", "web", "*"), KEYS)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("401 No", "requires a user name and password"),
        ("403 No", r"denies access \(403\)"),
        ("404 No", "not a chart rep"),
    ],
)
def test_the_meaning_of_an_answer_is_that_of_its_code(status: str, words: str) -> None:
    """A server chooses the words behind the code."""

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, phrase = status.split()
            self.send_response(int(code), phrase)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(ToolError, match=words):
                helm_repository.resolve_version(Chart(f"http://127.0.0.1:{server.server_port}", "web", "*"), {})
        finally:
            server.shutdown()
            thread.join()


def test_a_version_is_fetched_into_a_folder_separate(served: tuple[str, Path], tmp_path: Path) -> None:
    chart = Chart(served[0], "web", "*")
    folder = helm_repository.fetch_chart(chart, "1.2.0", KEYS, tmp_path)
    assert (folder / "web" / "templates" / "a.yaml").read_text() == "a: 1\n"
    assert [path.name for path in folder.iterdir()] == ["web"]


def test_a_fetched_version_needs_no_repository(served: tuple[str, Path], tmp_path: Path) -> None:
    chart = Chart(served[0], "web", "*")
    folder = helm_repository.fetch_chart(chart, "1.0.0", KEYS, tmp_path)
    assert helm_repository.fetch_chart(chart, "1.0.0", {}, tmp_path) == folder


def test_a_version_that_cannot_be_fetched_leaves_nothing_behind(served: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="helm pull failed for web"):
        helm_repository.fetch_chart(Chart(served[0], "web", "*"), "7.7.7", KEYS, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.parent != tmp_path] == []
