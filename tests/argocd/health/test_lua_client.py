"""Argo CD's Lua health scripts, run on Argo CD's own cases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml

from gatekeeper.argocd.health import lua_client
from tests.conftest import SHARED, needs, shared
from tests.servers.modules import module

MODULE = "github.com/argoproj/argo-cd/v3"


@pytest.fixture(scope="module")
def argo() -> Path:
    """Argo CD as its scripts were taken from it, with the cases of those."""
    [version] = re.findall(rf"{MODULE} (v\S+)", (Path(lua_client.__file__).parent / "lua" / "go.mod").read_text())
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


@needs("luahealth")
def test_argo_cds_own_cases_have_the_same_health(argo: Path) -> None:
    count, other = differing(argo / "resource_customizations")
    # Of this kind there are cases, and no script.
    assert [one for one in other if not one.startswith("sql.cnrm.cloud.google.com/SQLUser/")] == []
    assert (count, len(other)) == (1041, 5)


@needs("luahealth")
@shared("corpora/argo-health")
def test_cases_of_another_version_have_the_same_health() -> None:
    count, other = differing(SHARED / "corpora" / "argo-health")
    assert other == [] and count == 138


@needs("luahealth")
def test_a_kind_without_a_script_has_no_health() -> None:
    assert lua_client.evaluate_health("example.com", "Widget", {"kind": "Widget"}) is None
    lua_client.require_program()
