"""The OPA process: what it is given, what it refuses, and that nothing of it stays behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson
import pytest

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.opa import server
from gatekeeper.engines.rego.opa.server import OpaServer
from gatekeeper.errors import PolicyError
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from tests.conftest import needs

RULE = 'package team\nimport rego.v1\ndeny contains "x" if input\n'


def build_policies(*texts: str) -> PolicySet:
    modules = [loader.parse_module(text, f"p/{number}.rego") for number, text in enumerate(texts)]
    return PolicySet(tuple(modules), {"team": {"name": "shop"}})


def test_a_bundle_has_each_module_in_its_own_version_of_rego(tmp_path: Path) -> None:
    server.write_bundle(tmp_path / "bundle", build_policies(RULE, "package old\ndeny[x] { x := 1 }\n"), "package c\n")
    manifest = orjson.loads((tmp_path / "bundle" / ".manifest").read_bytes())
    assert manifest["file_rego_versions"] == {"/0.rego": 1, "/1.rego": 0}
    assert orjson.loads((tmp_path / "bundle" / "data.json").read_bytes()) == {"team": {"name": "shop"}}
    assert (tmp_path / "bundle" / "0.rego").read_text() == RULE


def test_the_collector_evaluates_each_query_once_and_quotes_it() -> None:
    text = server.build_collector(["data.a.deny", "data.b.warn", "data.a.deny"])
    assert text.startswith(f"package {server.COLLECTOR_PACKAGE}\n")
    assert text.count("answers contains") == 2 and text.count('"data.a.deny" in input.wanted[i]') == 1


@needs("opa")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("package team\nimport rego.v1\ndeny contains x if { x }\n", "p/0.rego"),
        ("package team\nimport rego.v1\ndeny contains 1 if { http.send({}) }\n", "http.send"),
        ("package team\nimport rego.v1\ndeny contains opa.runtime() if true\n", "opa.runtime"),
    ],
)
def test_a_policy_that_does_not_compile_starts_no_process_and_leaves_no_folder(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(PolicyError, match="a policy does not compile") as caught:
        OpaServer(DEFAULT_TOOLCHAIN.find("opa"), build_policies(text), server.build_collector([]))
    assert reason in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@needs("opa")
def test_a_process_ends_with_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opa = OpaServer(DEFAULT_TOOLCHAIN.find("opa"), build_policies(RULE), server.build_collector(["data.team.deny"]))
    assert not opa.has_ended and opa.port > 1024
    process = opa._process
    opa.close()
    assert process is not None and process.poll() is not None
    assert list(tmp_path.iterdir()) == []
