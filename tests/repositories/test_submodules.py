"""Submodules: at their recorded commits, from allowed URLs, inside of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import submodules
from gatekeeper.repositories.submodules import Submodule
from tests.repositories.git_work import Work, fetch, source

COMMIT = "1" * 40


def list_submodules(url: str, modules: str, *paths: str) -> list[Submodule]:
    """The submodules of a commit with these links and this `.gitmodules`."""

    def run_git(command: str, *arguments: str) -> bytes:
        links = "".join(f"160000 commit {COMMIT}\t{path}\0" for path in paths) + "100644 blob 2\ta.yaml\0"
        return links.encode() if command == "ls-tree" else modules.encode()

    return list(submodules.list_submodules(source(url), run_git, "HEAD"))


@pytest.mark.parametrize(
    ("base", "url", "resolved"),
    [
        ("https://git.example/team/a.git", "../b.git", "https://git.example/team/b.git"),
        ("https://git.example/team/a.git", "./b.git", "https://git.example/team/a.git/b.git"),
        ("ssh://git@git.example:22/a", "../../../../b", "ssh://git@git.example:22/b"),
        ("https://git.example/a", "https://other.example/b", "https://other.example/b"),
    ],
)
def test_a_relative_url_stays_on_the_host_of_the_repository(base: str, url: str, resolved: str) -> None:
    modules = f'# note\n[submodule "x"]\n\tPath = lib\n\turl = "{url}"\n'
    assert list_submodules(base, modules, "lib") == [Submodule("lib", resolved, COMMIT)]


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::sh -c id", "--upload-pack=x", ""])
def test_a_url_that_reads_this_machine_or_runs_a_program_is_refused(url: str) -> None:
    with pytest.raises(ToolError, match=r"is not allowed|is missing"):
        list_submodules("https://git.example/a", f"[submodule]\npath = lib\nurl = {url}\n", "lib")


def test_a_link_that_gitmodules_does_not_describe_is_refused() -> None:
    with pytest.raises(ToolError, match=r"the submodule `other` is missing in \.gitmodules"):
        list_submodules("https://git.example/a", "[submodule]\npath = lib\nurl = ../b\n", "lib", "other")


def test_a_commit_without_links_needs_no_gitmodules() -> None:
    assert list_submodules("https://git.example/a", "nonsense") == []


def test_files_of_a_submodule_are_copied_only_into_the_repository(tmp_path: Path) -> None:
    scratch, files = tmp_path / "scratch", tmp_path / "files"
    for folder in (scratch, files):
        folder.mkdir()
    (files / "a.yaml").write_text("a: 1\n")
    (scratch / "link").symlink_to(tmp_path)
    submodules.copy_submodule(scratch, Submodule("parts/lib", "", COMMIT), files)
    assert (scratch / "parts/lib/a.yaml").read_text() == "a: 1\n"
    for path in ("../out", "link/out", ".", "/etc/out", "parts/../.."):
        with pytest.raises(ToolError, match="leads out of the repository"):
            submodules.copy_submodule(scratch, Submodule(path, "", COMMIT), files)
    assert not (tmp_path / "out").exists()


def test_submodules_are_checked_out_recursively_at_their_commits(
    work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    inner, lib = Work(tmp_path / "host" / "inner"), Work(tmp_path / "host" / "lib")
    inner.commit("deep.yaml")
    lib.commit("lib.yaml")
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q")
    lib.git(*add, f"file://{inner.root}", "within")
    lib.git("commit", "-qm", "x")
    # Beside it, as it is most often written.
    work.commit()
    work.git(*add, f"file://{lib.root}", "parts/lib")
    work.git("config", "-f", ".gitmodules", "submodule.parts/lib.url", "../lib")
    work.commit("b.yaml")
    noted = lib.git("rev-parse", "HEAD")
    lib.commit("later.yaml")
    with_them = {"ref": {"branch": "main"}, "ignore": "# none", "recurseSubmodules": True}
    revision, folder = fetch(source(f"file://{work.root}", **with_them), {}, handed, tmp_path / "kept")
    assert (folder / "parts/lib/lib.yaml").is_file() and (folder / "parts/lib/within/deep.yaml").is_file()
    assert not (folder / "parts/lib/later.yaml").exists() and noted and revision.commit
    _, bare = fetch(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "bare")
    assert not (bare / "parts/lib/lib.yaml").exists()


@pytest.mark.parametrize(("url", "words"), [("ext::sh -c id", "is not allowed"), ("/etc", "is not allowed")])
def test_a_submodule_from_elsewhere_is_refused(
    url: str, words: str, work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    lib = Work(tmp_path / "host" / "lib")
    lib.commit()
    work.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", f"file://{lib.root}", "lib")
    work.git("config", "-f", ".gitmodules", "submodule.lib.url", url)
    work.commit()
    with pytest.raises(ToolError, match=words):
        fetch(
            source(f"file://{work.root}", ref={"branch": "main"}, recurseSubmodules=True), {}, handed, tmp_path / "kept"
        )


def test_credentials_go_to_no_other_host_with_a_submodule() -> None:
    own = source("https://git.example/a.git")
    assert submodules.is_on_same_host(own, submodules.Submodule("x", "https://git.example/b.git", "1" * 40))
    for url in ("https://other.example/b.git", "http://git.example/b.git", "https://git.example:444/b.git"):
        assert not submodules.is_on_same_host(own, submodules.Submodule("x", url, "1" * 40))
