"""Reading of `gatekeeper.yaml`: defaults, types, the pinned tools, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper import config
from gatekeeper.config import Config
from gatekeeper.errors import UsageError
from gatekeeper.host.toolchain import TOOLS, Toolchain
from gatekeeper.workspace import config_loader, lockfile


def test_a_repository_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert config_loader.load(tmp_path, None) == Config()
    (tmp_path / config.CONFIG_FILE).write_text("# nothing\n")
    assert config_loader.load(tmp_path, None) == Config()


def test_settings_are_converted_to_their_types(tmp_path: Path) -> None:
    (tmp_path / config.CONFIG_FILE).write_text(
        "kubernetes: 1.34\npolicies: {paths: [a], timeout: 2, bundles: [{source: b, digest: c}]}\n"
        "library: {severity: {a/b: error}}\n"
    )
    loaded = config_loader.load(tmp_path, None)
    assert (loaded.kubernetes, loaded.policies, loaded.policy_timeout) == ("1.34", ("a",), 2.0)
    assert (loaded.bundles, loaded.severity) == (({"source": "b", "digest": "c"},), {"a/b": "error"})


def test_the_pinned_tools_belong_to_the_settings(tmp_path: Path) -> None:
    pinned = TOOLS["opa"]._replace(version="v1.0.1", checksums=())
    lockfile.write_tools(tmp_path, Toolchain({"opa": pinned}), {})
    assert config_loader.load(tmp_path, None).toolchain.get_tool("opa") == pinned
    assert config_loader.load(tmp_path, None, lockfile.Lock(Toolchain())).toolchain == Toolchain()
    (tmp_path / lockfile.LOCK_FILE).write_text("{}")
    with pytest.raises(UsageError, match=r"gatekeeper\.lock:1:1"):
        config_loader.load(tmp_path, None)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a readable file with --config"):
        config_loader.load(tmp_path, tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"engine: \xff")
    with pytest.raises(UsageError, match="cannot be read"):
        config_loader.load(tmp_path, tmp_path / "latin.yaml")


def test_the_root_is_the_nearest_folder_with_a_config_or_git(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (inner / "x.yaml").write_text("")
    assert config_loader.find_root(inner / "x.yaml") == tmp_path
    (tmp_path / "a" / config.CONFIG_FILE).write_text("")
    assert config_loader.find_root(inner) == tmp_path / "a"


@pytest.mark.parametrize("text", ["engine: opa\n---\nkubernetes: '1.30'\n", "# none\n---\n---\nengine: opa\n"])
def test_settings_in_a_second_document_are_not_ignored(text: str) -> None:
    with pytest.raises(UsageError, match=r"^g.yaml:[34]:1: a second document; write all settings into the first one$"):
        config_loader.parse(text.encode(), "g.yaml")


def test_empty_documents_are_no_settings() -> None:
    assert config_loader.parse(b"engine: opa\n---\n# none\n---\n", "g.yaml").engine == "opa"
