"""`gatekeeper graph`: the references of a repository as text, JSON and a picture."""

from __future__ import annotations

import re

import orjson
import pytest

from tests.conftest import Repository, command
from tests.engines.references.objects import POD, config_map, secret

FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": "",
    "pod.yaml": POD,
    "all.yaml": secret("db", "password") + config_map("settings", "size"),
}


def test_text(repository: Repository) -> None:
    code, out, _ = command("graph", repository(FILES))
    assert code == 0
    assert out.splitlines()[:3] == [
        "Pod prod/web",
        "  → Secret prod/pull  (missing in this repository)",
        "  → Secret prod/all  (missing in this repository)",
    ]
    assert "  → Secret prod/db [password]\n" in out
    assert out.endswith("7 references\n")


def test_json_has_places_and_what_is_provided(repository: Repository) -> None:
    found = orjson.loads(command("graph", "--format", "json", repository(FILES))[1])
    assert found["schema"] == "gatekeeper/graph/v1"
    [edge] = [edge for edge in found["edges"] if edge["to"]["name"] == "db"]
    assert edge["to"] == {"kind": "Secret", "namespace": "prod", "name": "db", "key": "password"}
    assert (edge["file"], edge["line"], edge["provided"]) == ("pod.yaml", 14, True)
    assert sum(not edge["provided"] for edge in found["edges"]) == 4


def test_the_picture_names_each_node_once(repository: Repository) -> None:
    lines = command("graph", "--format", "mermaid", repository(FILES))[1].splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [line for line in lines if "[" in line]
    assert len(nodes) == len(set(nodes)) == 7
    links = [line for line in lines if "-->" in line]
    assert len(links) == 6
    assert all(re.fullmatch(r"  n\d+ --> n\d+", link) for link in links)
    assert sum("style" in line for line in lines) == 4


@pytest.mark.parametrize("form", ["text", "json", "mermaid"])
def test_unreadable_file_is_reported(repository: Repository, form: str) -> None:
    code, _, err = command("graph", "--format", form, repository({"a.yaml": "a: [1\n"}))
    assert (code, err.startswith("a.yaml: cannot be read")) == (3, True)
