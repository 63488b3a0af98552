"""External programs: only the pinned version counts, a changed one is seen, and each run has a limit and no network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
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
    with pytest.raises(ToolError, match=r"kustomize v5\.8\.1 is not installed \(.* has another version\); run"):
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
    assert out.split()[:2] == ["kustomize", "v5.8.1"]


def test_an_unknown_tool_is_a_usage_error() -> None:
    code, _, err = command("tools", "install", "kustomise")
    assert (code, "unknown tool `kustomise`; known tools: kustomize" in err) == (2, True)


def test_a_tool_of_our_own_has_the_version_of_its_content() -> None:
    own = [tool for tool in toolchain.TOOLS.values() if tool.source_folder]
    assert [tool.name for tool in own] == ["gotemplate", "gatekeeper-upstream", "gatekeeper-kyverno"]
    assert all(tool.version.rpartition("+")[2] == toolchain.compute_source_version(tool) for tool in own), [
        toolchain.compute_source_version(tool) for tool in own
    ]


def test_repositories_with_different_pins_use_at_once_each_its_own_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own, roots = toolchain.TOOLS["opa"], {}
    for version in ("v1.0.1", "v1.0.2"):
        built = toolchain.get_built_path(own._replace(version=version))
        program(built.parent, built.name, f"Version: {version}")
        roots[version] = tmp_path / version
        roots[version].mkdir()
        lock: dict[str, object] = {"opa": {"package": own.package, "version": version, "sums": {}}}
        text = orjson.dumps({"schema": lockfile.SCHEMA, "tools": lock})
        (roots[version] / lockfile.LOCK_FILE).write_bytes(text)

    def run(version: str) -> tuple[str, bytes]:
        path = config_loader.load(roots[version], None).toolchain.find("opa")
        return version, run_command([path], 20)[1]

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(run, [*roots] * 4))
    assert all(output == f"Version: {version}\n".encode() for version, output in outputs), outputs


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
