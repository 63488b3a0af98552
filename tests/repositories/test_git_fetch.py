"""Commits fetched from a real Git host: which files, with which credentials, and nothing that runs."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_transport
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs
from tests.repositories.git_work import Work, fetch, source
from tests.servers import ssh_server
from tests.servers.git_server import PASSWORD, USER, Host


def test_commit_is_fetched_once_and_an_unchanged_one_needs_one_request(
    work: Work, host: Host, handed: MemoryFiles, tmp_path: Path
) -> None:
    first = work.commit()
    one = source(f"{host.url}/shop/.git", ref={"branch": "main"})
    keys = {"username": USER, "password": PASSWORD}
    revision, folder = fetch(one, keys, handed, tmp_path / "kept")
    assert str(revision) == f"main@sha1:{first}" and (folder / "a.yaml").read_text() == "a: b\n"
    assert sorted(path.name for path in folder.iterdir()) == ["a.yaml"]
    before = len(host.seen)
    assert fetch(one, keys, handed, tmp_path / "kept") == (revision, folder)
    assert next(line.split("?")[0] for line in host.seen[before:]).endswith("info/refs")
    assert not any("POST" in line and "receive" in line for line in host.seen)
    second = work.commit("b.yaml", "c: d\n")
    revision, newer = fetch(one, keys, handed, tmp_path / "kept")
    assert revision.commit == second and newer != folder and folder.is_dir() and (newer / "b.yaml").is_file()


def test_missing_permission_is_reported_without_secrets(
    work: Work, host: Host, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit()
    one = source(f"{host.url}/shop/.git", ref={"branch": "main"})
    for keys, words in (
        ({}, "requires a user name and password"),
        ({"username": USER, "password": "wrong-one"}, "rejects the user name and password|requires a user name"),
        ({"bearerToken": "wrong-token"}, "rejects|requires a user name and password"),
    ):
        with pytest.raises(ToolError, match=words) as caught:
            fetch(one, keys, handed, tmp_path / "kept")
        assert "wrong" not in str(caught.value)
    elsewhere = source(f"{host.url}/none/.git")
    with pytest.raises(ToolError, match="repository not found"):
        fetch(elsewhere, {"username": USER, "password": PASSWORD}, handed, tmp_path / "kept")
    with pytest.raises(ToolError, match="has no `known_hosts`"):
        git_transport.build_transport("ssh://git@127.0.0.1/r", {"identity": SecretBytes(b"key")}, handed)


def test_a_commit_must_be_on_its_branch(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    first = work.commit()
    work.commit("b.yaml")
    work.git("checkout", "-q", "-b", "side")
    side = work.commit("c.yaml")
    url = f"file://{work.root}"
    revision, folder = fetch(source(url, ref={"branch": "main", "commit": first}), {}, handed, tmp_path / "kept")
    assert revision.commit == first and not (folder / "b.yaml").exists()
    with pytest.raises(ToolError, match="is not on `main`"):
        fetch(source(url, ref={"branch": "main", "commit": side}), {}, handed, tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("new-*"))


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        (None, ["apps/a.yaml", "apps/keep.md", "b.txt"]),
        ("*.txt\n", [".github/x.yaml", ".sops.yaml", "apps/a.yaml", "apps/keep.md", "pic.png"]),
        ("/*\n!/apps\n!apps/drop.md\n", ["apps/a.yaml", "apps/drop.md", "apps/keep.md"]),
    ],
)
def test_files_are_left_out_as_flux_leaves_them_out(
    work: Work, handed: MemoryFiles, tmp_path: Path, ignore: str | None, kept: list[str]
) -> None:
    for name in (".github/x.yaml", ".sops.yaml", "apps/a.yaml", "apps/keep.md", "apps/drop.md", "b.txt", "pic.png"):
        (work.root / name).parent.mkdir(parents=True, exist_ok=True)
        (work.root / name).write_text("x: y\n")
    (work.root / "apps/.sourceignore").write_text("drop.md\n")
    work.commit()
    one = source(f"file://{work.root}", ref={"branch": "main"}, **({"ignore": ignore} if ignore else {}))
    _, folder = fetch(one, {}, handed, tmp_path / "kept")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found - {"a.yaml", "apps/.sourceignore"} == set(kept)


def test_a_repository_is_pulled_over_ssh_by_the_key_of_the_secret(
    work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    first = work.commit()
    with ssh_server.serving(tmp_path) as host:
        one = source(f"ssh://git@127.0.0.1:{host.port}{work.root}", ref={"branch": "main"})
        keys = {"identity": host.identity, "known_hosts": host.known_hosts}
        revision, folder = fetch(one, keys, handed, tmp_path / "kept")
        assert revision.commit == first and (folder / "a.yaml").is_file()
        other = asyncssh.generate_private_key("ssh-ed25519")
        for wrong, words in (
            ({**keys, "identity": other.export_private_key().decode()}, "rejects the key"),
            (
                {**keys, "known_hosts": f"[127.0.0.1]:{host.port} {other.export_public_key().decode()}"},
                "has a host key that is not in",
            ),
            ({"identity": host.identity}, "has no `known_hosts`"),
        ):
            with pytest.raises(ToolError, match=words):
                fetch(one, wrong, handed, tmp_path / "kept")


def test_sparse_checkout_fetches_only_the_requested_folders(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    for file in ("root.yaml", "apps/a.yaml", "apps/deep/b.yaml", "other/c.yaml"):
        work.commit(file)
    one = source(f"file://{work.root}", ref={"branch": "main"}, sparseCheckout=["apps/deep"])
    _, folder = fetch(one, {}, handed, tmp_path / "kept")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"root.yaml", "apps/deep/b.yaml"}
    with pytest.raises(ToolError, match="is not a folder of the repository"):
        fetch(
            source(f"file://{work.root}", ref={"branch": "main"}, sparseCheckout=["no"]), {}, handed, tmp_path / "more"
        )


def test_no_link_leads_out_of_a_repository(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another")
    work.commit()
    for name, target in (("out", tmp_path / "secret"), ("up", "../../../secret"), ("in", "a.yaml"), ("twice", "up")):
        (work.root / name).symlink_to(target)
    (work.root / "folder").symlink_to(tmp_path)
    work.commit("b.yaml")
    _, folder = fetch(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "kept")
    assert (folder / "in").read_text() == "a: b\n"
    assert not any((folder / name).exists() for name in ("out", "up", "twice", "folder/secret"))


@needs("gotemplate")
def test_no_hook_and_no_filter_of_a_repository_runs(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (work.root / ".gitattributes").write_text("*.yaml filter=evil\n")
    hook = work.root / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    work.git("config", "filter.evil.smudge", f"touch {mark}")
    work.git("config", "uploadpack.packObjectsHook", f"touch {mark}")
    work.commit()
    mark.unlink(missing_ok=True)
    _, folder = fetch(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "kept")
    assert (folder / "a.yaml").is_file() and not mark.exists()
