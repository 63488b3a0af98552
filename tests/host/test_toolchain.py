"""External programs: only the pinned version counts, a changed one is seen, and each run has a limit and no network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.flux import build as flux_build
from gatekeeper.gate import pipeline
from gatekeeper.host import toolchain
from gatekeeper.workspace import config_loader, lockfile
from tests.conftest import command, needs


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without built tools, and an own folder on its PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin"


def test_a_program_of_another_version_does_not_count(empty: Path) -> None:
    program(empty, "kustomize", "v5.0.0")
    with pytest.raises(ToolError, match=r"kustomize v5\.7\.1 is not installed \(.* has another version\); run"):
        toolchain.DEFAULT_TOOLCHAIN.find("kustomize")


def test_a_program_of_the_pinned_version_counts_wherever_it_is(empty: Path) -> None:
    path = program(empty, "helm", "v3.22.0+g1234567")
    assert toolchain.DEFAULT_TOOLCHAIN.find("helm") == path


def test_a_built_program_that_was_changed_is_seen(empty: Path) -> None:
    built = program(toolchain.get_built_path(toolchain.TOOLS["opa"]).parent, "opa", "Version: 1.22.2")
    toolchain.get_checksum_path(built).write_text("0" * 64)
    assert not toolchain.is_intact(built)
    code, out, _ = command("tools", "verify", "opa")
    assert (code, "missing or changed" in out) == (3, True)


@needs("kustomize")
def test_tools_are_listed_with_their_versions() -> None:
    code, out, _ = command("tools", "list", "kustomize")
    assert code == 0
    assert out.split()[:2] == ["kustomize", "v5.7.1"]


def test_an_unknown_tool_is_a_usage_error() -> None:
    code, _, err = command("tools", "install", "kustomise")
    assert (code, "unknown tool `kustomise`; known tools: kustomize" in err) == (2, True)


def test_a_tool_of_our_own_has_the_version_of_its_content() -> None:
    own = [tool for tool in toolchain.TOOLS.values() if tool.source_folder]
    assert [tool.name for tool in own] == ["gotemplate", "gatekeeper-upstream", "gatekeeper-kyverno"]
    assert all(tool.version.rpartition("+")[2] == toolchain.compute_source_version(tool) for tool in own), [
        toolchain.compute_source_version(tool) for tool in own
    ]


PINNED_REPOSITORY = {
    "apps/kustomization.yaml": "resources: [map.yaml]\n",
    "apps/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: d}\ndata: {version: PLACEHOLDER}\n",
    "flux.yaml": (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: d}\n"
        "spec: {interval: 1m, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: r}}\n"
    ),
}


@needs("kustomize")
def test_repositories_with_different_pins_render_at_once_each_with_its_own_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version is the real kustomize, wrapped so that its output shows which one ran."""
    real = toolchain.DEFAULT_TOOLCHAIN.find("kustomize")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own, roots = toolchain.TOOLS["kustomize"], {}
    for version in ("v5.0.1", "v5.0.2"):
        built = toolchain.get_built_path(own._replace(version=version))
        program(built.parent, built.name, "")
        built.write_text(f"#!/bin/sh\nset -e\nsleep 0.05\n{real} \"$@\" | sed 's/PLACEHOLDER/{version}/'\n")
        roots[version] = tmp_path / version
        lock: dict[str, object] = {"kustomize": {"package": own.package, "version": version, "sums": {}}}
        files = {
            **PINNED_REPOSITORY,
            lockfile.LOCK_FILE: orjson.dumps({"schema": lockfile.SCHEMA, "tools": lock}).decode(),
        }
        for name, content in files.items():
            path = roots[version] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def render(version: str) -> tuple[str, object]:
        root = roots[version]
        result = pipeline.check_and_render_repository(root, config_loader.load(root, None), 2)
        [build] = flux_build.check_repository_kustomizations(result, 2).builds
        return version, [one["data"]["version"] for one in build.objects] or build.render_error

    with ThreadPoolExecutor(4) as pool:
        rendered = list(pool.map(render, [*roots] * 4))
    assert all(versions == [version] for version, versions in rendered), rendered


def test_a_program_in_the_package_is_used_if_none_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(toolchain, "PACKAGE", tmp_path)
    with pytest.raises(ToolError, match=r"gatekeeper-upstream .* is not installed"):
        toolchain.DEFAULT_TOOLCHAIN.find("gatekeeper-upstream")
    bundled = tmp_path / "bin" / "gatekeeper-upstream"
    bundled.parent.mkdir()
    bundled.write_bytes(b"program")
    assert toolchain.DEFAULT_TOOLCHAIN.find("gatekeeper-upstream") == bundled
    built = toolchain.get_built_path(toolchain.TOOLS["gatekeeper-upstream"])
    built.parent.mkdir(parents=True)
    built.write_bytes(b"program")
    assert toolchain.DEFAULT_TOOLCHAIN.find("gatekeeper-upstream") == built
