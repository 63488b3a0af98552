"""Argo CD's Lua health scripts, run on Argo CD's own cases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml

from gatekeeper.argocd.health import lua_client
from gatekeeper.errors import ToolError
from gatekeeper.host.toolchain import PACKAGE
from gatekeeper.upstream.client import open_client
from tests.conftest import SHARED, needs, shared
from tests.servers.modules import module

MODULE = "github.com/argoproj/argo-cd/v3"


@pytest.fixture(scope="module")
def argo() -> Path:
    """Argo CD as its scripts were taken from it, with the cases of those."""
    [version] = re.findall(rf"{MODULE} (v\S+)", (PACKAGE / "upstream" / "go" / "go.mod").read_text())
    return module(MODULE, version)


def cases(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for file in sorted(folder.rglob("health_test.yaml")):
        for one in yaml.safe_load(file.read_text())["tests"]:
            path = file.parent / (one.get("inputPath") or one["inputpath"])
            yield str(path.relative_to(folder)), one["healthStatus"]["status"], path


def differing(folder: Path) -> tuple[int, list[str]]:
    """How many cases there are, and which come to something else."""
    count, other = 0, []
    for name, word, path in cases(folder):
        value = next(iter(yaml.load_all(path.read_text(), yaml.CSafeLoader)))
        value = orjson.loads(orjson.dumps(value, default=lambda when: when.strftime("%Y-%m-%dT%H:%M:%SZ")))
        said = lua_client.evaluate_health(value["apiVersion"].rpartition("/")[0], value["kind"], value)
        count += 1
        if said is None or (said.status, said.fault) != (word, ""):
            other.append(f"{name}: {word}, {said}")
    return count, other


@needs("gatekeeper-upstream")
def test_argo_cds_own_cases_have_the_same_health(argo: Path) -> None:
    count, other = differing(argo / "resource_customizations")
    # Of this kind there are cases, and no script.
    assert [one for one in other if not one.startswith("sql.cnrm.cloud.google.com/SQLUser/")] == []
    assert (count, len(other)) == (1041, 5)


@needs("gatekeeper-upstream")
@shared("corpora/argo-health")
def test_cases_of_another_version_have_the_same_health() -> None:
    count, other = differing(SHARED / "corpora" / "argo-health")
    assert other == [] and count == 138


@needs("gatekeeper-upstream")
def test_a_kind_without_a_script_has_no_health() -> None:
    assert lua_client.evaluate_health("example.com", "Widget", {"kind": "Widget"}) is None
    lua_client.require_program()


@needs("gatekeeper-upstream")
def test_a_script_that_needs_too_much_memory_stops_only_its_own_call() -> None:
    widget = {"kind": "Widget", "status": {"phase": "Up"}}
    certificate = {"kind": "Certificate", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    shipped = open_client("")
    process = shipped.get_worker().pid
    # One instruction creates a text of 1.7 GB. On a busy machine the second is over before the memory is measured.
    large = f"local t = string.rep('x', 1000000) for i = 1, 3 do t = {' .. '.join('t' * 12)} end while true do end"
    try:
        bounded = str(lua_client.evaluate_health("example.com", "Widget", widget, large))
    except ToolError as error:
        bounded = str(error)
    assert re.search("`argocd-cm` was stopped: .* MB of memory|takes longer than a second", bounded)
    after = lua_client.evaluate_health("example.com", "Widget", widget, "return {status = obj.status.phase}")
    assert after == lua_client.LuaHealth("Up", "")
    ready = lua_client.evaluate_health("cert-manager.io", "Certificate", certificate)
    assert ready is not None and ready.status == "Healthy" and shipped.get_worker().pid == process
