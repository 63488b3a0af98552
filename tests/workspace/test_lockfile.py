"""`gatekeeper.lock`: the pinned versions and checksums are the ones that are used."""

from __future__ import annotations

import os
import re
from pathlib import Path

import orjson
import pytest

from gatekeeper import __version__
from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host import toolchain
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.workspace import lockfile
from tests.conftest import Repository, command, needs
from tests.host.test_toolchain import program


def bare(tmp_path: Path) -> dict[str, str]:
    """A machine without the external programs."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


@needs("opa")
def test_a_lock_pins_versions_and_programs(repository: Repository) -> None:
    root = repository({"a.txt": ""})
    assert command("tools", "lock", cwd=root)[0] == 0
    held = orjson.loads((root / lockfile.LOCK_FILE).read_bytes())
    for name in ("kustomize", "helm"):
        # Libraries: there is no program with a checksum.
        assert (held["tools"][name]["version"], held["tools"][name]["sums"]) == (toolchain.TOOLS[name].version, {})
    assert held["tools"]["opa"]["version"] == "v1.22.2"
    assert held["tools"]["opa"]["sums"][lockfile.PLATFORM] == [
        toolchain.hash_file(toolchain.DEFAULT_TOOLCHAIN.find("opa"))
    ]
    before = (root / lockfile.LOCK_FILE).read_bytes()
    assert command("tools", "lock", cwd=root)[0] == 0
    assert (root / lockfile.LOCK_FILE).read_bytes() == before


def test_another_version_in_the_lock_is_the_one_that_counts(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.txt": ""})
    entry = {"package": toolchain.TOOLS["opa"].package, "version": "v1.0.1", "sums": {}}
    (root / lockfile.LOCK_FILE).write_bytes(orjson.dumps({"schema": lockfile.SCHEMA, "tools": {"opa": entry}}))
    code, out, _ = command("tools", "list", "opa", cwd=root, env=bare(tmp_path))
    assert code == 3 and "v1.0.1" in out


def test_a_program_on_the_path_counts_only_by_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    path = program(tmp_path / "bin", "helm", "v3.22.0")
    helm = toolchain.TOOLS["helm"]
    with pytest.raises(ToolError, match=r"has a checksum that gatekeeper\.lock does not list"):
        toolchain.Toolchain({"helm": helm._replace(checksums=("0" * 64,))}).find("helm")
    pinned = helm._replace(checksums=(toolchain.hash_file(path),))
    assert toolchain.Toolchain({"helm": pinned}).find("helm") == path


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{", "gatekeeper.lock:2:1: not valid YAML or JSON"),
        ("{}", "gatekeeper.lock:1:1: the file has no `schema`"),
        ('{"schema": "gatekeeper/lock/v1", "tools": {"x": {}}}', "unknown setting `tools.x`; known are conftest, helm"),
        (
            '{"schema": "gatekeeper/lock/v1", "tools": {"helm": {"package": "evil.example/helm"}}}',
            "`tools.helm.package` must be `helm.sh/helm/v3/cmd/helm`",
        ),
        (
            '{"schema": "gatekeeper/lock/v1", "tools": {"helm": {"package": "helm.sh/helm/v3/cmd/helm", "version": "latest", "sums": {}}}}',
            "`tools.helm.version` is 'latest'; write it as v3",
        ),
    ],
)
def test_a_malformed_lock_is_reported(tmp_path: Path, value: str, told: str) -> None:
    (tmp_path / lockfile.LOCK_FILE).write_text(value)
    with pytest.raises(UsageError, match=told):
        lockfile.load(tmp_path)
    code, _, err = command("check", cwd=tmp_path)
    assert (code, told in err) == (2, True), err


def test_a_lock_that_was_written_is_read_again(tmp_path: Path) -> None:
    pinned = toolchain.TOOLS["opa"]._replace(version="v1.0.1")
    lockfile.write_tools(tmp_path, Toolchain({"opa": pinned}), {"opa": "a" * 64})
    loaded = lockfile.load(tmp_path).tools
    assert loaded.get_tool("opa") == pinned._replace(checksums=("a" * 64,))
    assert loaded.get_tool("kustomize").version == toolchain.TOOLS["kustomize"].version
    assert set(loaded.pins) == set(toolchain.PINNED_TOOLS)


def test_checksums_of_another_version_are_dropped_and_those_of_other_platforms_stay(tmp_path: Path) -> None:
    lockfile.write_tools(tmp_path, Toolchain(), {"opa": "a" * 64})
    path = tmp_path / lockfile.LOCK_FILE
    value = orjson.loads(path.read_bytes())
    value["tools"]["opa"]["sums"]["plan9-arm"] = ["b" * 64]
    path.write_bytes(orjson.dumps(value))
    lockfile.write_tools(tmp_path, Toolchain(), {})
    assert orjson.loads(path.read_bytes())["tools"]["opa"]["sums"] == value["tools"]["opa"]["sums"]
    lockfile.write_tools(tmp_path, Toolchain({"opa": toolchain.TOOLS["opa"]._replace(version="v1.0.1")}), {})
    assert orjson.loads(path.read_bytes())["tools"]["opa"]["sums"] == {}


@pytest.mark.parametrize(
    ("pinned", "words"),
    [
        ({"kustomize": "v5.7.1"}, "pins kustomize v5.7.1, but Gatekeeper {} contains kustomize {}; run"),
        ({"helm": "v3.0.1"}, "pins helm v3.0.1, but Gatekeeper {} contains helm {}; run"),
        (
            {"helm": "v3.0.1", "kustomize": "v5.7.1"},
            "pins kustomize v5.7.1 and helm v3.0.1, but Gatekeeper {} contains kustomize {} and helm {}; run",
        ),
    ],
)
def test_a_lock_with_another_kustomize_or_helm_is_refused_until_it_is_written_again(
    repository: Repository, pinned: dict[str, str], words: str
) -> None:
    entries = {
        name: {"package": toolchain.TOOLS[name].package, "version": version, "sums": {}}
        for name, version in pinned.items()
    }
    # There is nothing to render: the answer does not depend on what a repository contains.
    root = repository({"a.txt": ""})
    (root / lockfile.LOCK_FILE).write_bytes(orjson.dumps({"schema": lockfile.SCHEMA, "tools": entries}))
    own = [toolchain.TOOLS[name].version for name in ("kustomize", "helm") if name in pinned]
    for arguments in (("check",), ("render", "."), ("tools",)):
        code, out, err = command(*arguments, cwd=root)
        assert (code, out) == (2, ""), arguments
        assert words.format(__version__, *own) in err
    code, out, _ = command("doctor", cwd=root)
    assert code == 3 and f"MISSING config         {root / lockfile.LOCK_FILE}: pins " in out
    assert command("tools", "lock", cwd=root)[0] == 0
    for name in pinned:
        assert lockfile.load(root).tools.get_tool(name).version == toolchain.TOOLS[name].version
    assert command("check", cwd=root)[0] == 0


def test_a_program_of_this_package_is_not_pinned(tmp_path: Path) -> None:
    lockfile.write_tools(tmp_path, Toolchain(), {"gotemplate": "a" * 64})
    assert "gotemplate" not in lockfile.load(tmp_path).tools.pins


def test_a_repository_without_a_lock_uses_the_versions_of_this_package(tmp_path: Path) -> None:
    assert lockfile.load(tmp_path) == lockfile.Lock()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            '{"schema": "gatekeeper/lock/v1",\n "tools": {},\n "tools": {}}',
            ":3:2: duplicate key `tools`, first in line 2",
        ),
        (
            '{"schema": "gatekeeper/lock/v1", "tools": {"opa": {"package": "p",\n"version": "v1.0.0",\n"version": "v1"}}}',
            ":3:1: duplicate key `version`, first in line 2",
        ),
    ],
)
def test_a_duplicate_key_is_an_error(text: str, place: str) -> None:
    """Readers of JSON take the first or the last."""
    with pytest.raises(UsageError, match="^lock" + re.escape(place)):
        lockfile.parse(text.encode(), "lock")
