"""GitRepositories as Flux has them: what they mean, pulled from a real Git host, and signed by those who may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_fetch, git_repository_spec, git_transport, provenance, signature, submodules
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.revision import Revision
from gatekeeper.repositories.signature import UnverifiedSignatureError
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs
from tests.servers import git_server, ssh_server
from tests.servers.git_server import PASSWORD, USER, Host

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def source(url: str = "https://example.com/r", **spec: Any) -> GitRepository:
    value = {
        "apiVersion": f"source.toolkit.fluxcd.io/{spec.pop('version', 'v1')}",
        "kind": "GitRepository",
        "metadata": {"name": "r", "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": url, **spec},
    }
    return git_repository_spec.parse_git_repository(value)


class Work:
    """A repository with a history, as a developer has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, **more: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, env={**os.environ, **WHO, **more}, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, file: str = "a.yaml", text: str = "a: b\n", *more: str) -> str:
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", text, *more)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "host" / "shop")


@pytest.fixture
def host(work: Work) -> Iterator[Host]:
    with git_server.serving(work.root.parent) as found:
        yield found


@pytest.fixture
def handed() -> Iterator[MemoryFiles]:
    found = MemoryFiles()
    yield found
    found.close()


def pulled(one: GitRepository, keys: dict[str, str], handed: MemoryFiles, folder: Path) -> tuple[Revision, Path]:
    way = git_transport.build_transport(
        one.url, {key: SecretBytes(text.encode()) for key, text in keys.items()}, handed
    )
    revision = repositories_revision.resolve_reference(one.ref, git_fetch.list_refs(one, way))
    return revision, git_fetch.checkout_commit(one, revision, way, folder)


def test_a_commit_is_pulled_once_and_an_unchanged_one_costs_one_question(
    work: Work, host: Host, handed: MemoryFiles, tmp_path: Path
) -> None:
    first = work.commit()
    one = source(f"{host.url}/shop/.git", ref={"branch": "main"})
    keys = {"username": USER, "password": PASSWORD}
    revision, folder = pulled(one, keys, handed, tmp_path / "kept")
    assert str(revision) == f"main@sha1:{first}" and (folder / "a.yaml").read_text() == "a: b\n"
    assert sorted(path.name for path in folder.iterdir()) == ["a.yaml"]
    before = len(host.seen)
    assert pulled(one, keys, handed, tmp_path / "kept") == (revision, folder)
    assert next(line.split("?")[0] for line in host.seen[before:]).endswith("info/refs")
    assert not any("POST" in line and "receive" in line for line in host.seen)
    second = work.commit("b.yaml", "c: d\n")
    revision, newer = pulled(one, keys, handed, tmp_path / "kept")
    assert revision.commit == second and newer != folder and folder.is_dir() and (newer / "b.yaml").is_file()


def test_who_may_not_is_told_and_nothing_secret_with_it(
    work: Work, host: Host, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit()
    one = source(f"{host.url}/shop/.git", ref={"branch": "main"})
    for keys, words in (
        ({}, "requires a user name and password"),
        ({"username": USER, "password": "wrong-one"}, "rejects the user name and password|asks for a user name"),
        ({"bearerToken": "wrong-token"}, "rejects|asks for"),
    ):
        with pytest.raises(ToolError, match=words) as caught:
            pulled(one, keys, handed, tmp_path / "kept")
        assert "wrong" not in str(caught.value)
    elsewhere = source(f"{host.url}/none/.git")
    with pytest.raises(ToolError, match="repository not found"):
        pulled(elsewhere, {"username": USER, "password": PASSWORD}, handed, tmp_path / "kept")
    with pytest.raises(ToolError, match="has no `known_hosts`"):
        git_transport.build_transport("ssh://git@127.0.0.1/r", {"identity": SecretBytes(b"key")}, handed)


def test_a_commit_must_be_on_its_branch(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    first = work.commit()
    work.commit("b.yaml")
    work.git("checkout", "-q", "-b", "side")
    side = work.commit("c.yaml")
    url = f"file://{work.root}"
    revision, folder = pulled(source(url, ref={"branch": "main", "commit": first}), {}, handed, tmp_path / "kept")
    assert revision.commit == first and not (folder / "b.yaml").exists()
    with pytest.raises(ToolError, match="is not on `main`"):
        pulled(source(url, ref={"branch": "main", "commit": side}), {}, handed, tmp_path / "kept")
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
    _, folder = pulled(one, {}, handed, tmp_path / "kept")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found - {"a.yaml", "apps/.sourceignore"} == set(kept)


def test_a_repository_is_pulled_over_ssh_by_the_key_of_the_secret(
    work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    first = work.commit()
    with ssh_server.serving(tmp_path) as host:
        one = source(f"ssh://git@127.0.0.1:{host.port}{work.root}", ref={"branch": "main"})
        keys = {"identity": host.identity, "known_hosts": host.known_hosts}
        revision, folder = pulled(one, keys, handed, tmp_path / "kept")
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
                pulled(one, wrong, handed, tmp_path / "kept")


def test_a_proxy_is_asked_with_its_own_name_and_password(
    work: Work, host: Host, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit()
    one = source("http://git.example.invalid/shop/.git", ref={"branch": "main"}, proxySecretRef={"name": "p"})
    keys = {"username": SecretBytes(USER.encode()), "password": SecretBytes(PASSWORD.encode())}
    proxy = {
        "address": SecretBytes(host.url.encode()),
        "username": SecretBytes(b"me"),
        "password": SecretBytes(b"of the proxy"),
    }
    way = git_transport.build_transport(one.url, keys, handed, proxy)
    revision = repositories_revision.resolve_reference(one.ref, git_fetch.list_refs(one, way))
    assert (git_fetch.checkout_commit(one, revision, way, tmp_path / "kept") / "a.yaml").is_file()
    assert all("http://git.example.invalid/" in line for line in host.seen)
    with pytest.raises(ToolError, match="no `address`"):
        git_transport.build_transport(one.url, keys, handed, {"address": SecretBytes(b"socks5://x")})


def test_submodules_are_put_in_at_their_commits_and_those_within_them(
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
    revision, folder = pulled(source(f"file://{work.root}", **with_them), {}, handed, tmp_path / "kept")
    assert (folder / "parts/lib/lib.yaml").is_file() and (folder / "parts/lib/within/deep.yaml").is_file()
    assert not (folder / "parts/lib/later.yaml").exists() and noted and revision.commit
    _, bare = pulled(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "bare")
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
        pulled(
            source(f"file://{work.root}", ref={"branch": "main"}, recurseSubmodules=True), {}, handed, tmp_path / "kept"
        )


def test_credentials_go_to_no_other_host_with_a_submodule() -> None:
    own = source("https://git.example/a.git")
    assert submodules.is_on_same_host(own, submodules.Submodule("x", "https://git.example/b.git", "1" * 40))
    for url in ("https://other.example/b.git", "http://git.example/b.git", "https://git.example:444/b.git"):
        assert not submodules.is_on_same_host(own, submodules.Submodule("x", url, "1" * 40))


def test_only_some_folders_are_pulled_where_only_they_are_wanted(
    work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    for file in ("root.yaml", "apps/a.yaml", "apps/deep/b.yaml", "other/c.yaml"):
        work.commit(file)
    one = source(f"file://{work.root}", ref={"branch": "main"}, sparseCheckout=["apps/deep"])
    _, folder = pulled(one, {}, handed, tmp_path / "kept")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"root.yaml", "apps/deep/b.yaml"}
    with pytest.raises(ToolError, match="is not a folder of the repository"):
        pulled(
            source(f"file://{work.root}", ref={"branch": "main"}, sparseCheckout=["no"]), {}, handed, tmp_path / "more"
        )


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("Merge pull request #12 from a/b\n\nTitle", "#12"),
        ("Add a shop (#7)\n\nmore", "#7"),
        ("Add (#7) a shop", ""),
        ("Merge branch 'x'\n\nSee merge request org/repo!34", "!34"),
        ("x", ""),
    ],
)
def test_a_commit_is_owed_to_its_author_and_came_by_its_pull_request(
    message: str, change: str, work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit("a.yaml", "a: b\n", "-m", "x")
    work.git("commit", "-q", "--amend", "-m", message)
    one = source(f"file://{work.root}", ref={"branch": "main"})
    _, folder = pulled(one, {}, handed, tmp_path / "kept")
    found = provenance.read_provenance(one, git_transport.build_transport(one.url, {}, handed), folder, "SHA256:x")
    assert found == provenance.CommitProvenance("a <a@example.com>", "SHA256:x", change)
    shutil.rmtree(folder.parent / git_fetch.MIRROR_NAME)
    assert provenance.read_provenance(one, git_transport.build_transport(one.url, {}, handed), folder).author == ""


def test_no_link_leads_out_of_a_repository(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another")
    work.commit()
    for name, target in (("out", tmp_path / "secret"), ("up", "../../../secret"), ("in", "a.yaml"), ("twice", "up")):
        (work.root / name).symlink_to(target)
    (work.root / "folder").symlink_to(tmp_path)
    work.commit("b.yaml")
    _, folder = pulled(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "kept")
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
    _, folder = pulled(source(f"file://{work.root}", ref={"branch": "main"}), {}, handed, tmp_path / "kept")
    assert (folder / "a.yaml").is_file() and not mark.exists()


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Path, str]:
    """A key of SSH, and its public part."""
    key = tmp_path / "signer"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key, key.with_suffix(".pub").read_text()


def check(one: GitRepository, keys: dict[str, str], handed: MemoryFiles, folder: Path) -> str:
    way = git_transport.build_transport(one.url, {}, handed)
    revision = repositories_revision.resolve_reference(one.ref, git_fetch.list_refs(one, way))
    folder.mkdir(exist_ok=True)
    mirror = git_fetch.fetch_mirror(one, revision, way, folder)
    return signature.verify_signature(
        one, revision, mirror, way, {name: SecretBytes(text.encode()) for name, text in keys.items()}
    )


def test_commits_and_tags_must_be_signed_with_a_key_of_ssh(
    work: Work, signer: tuple[Path, str], handed: MemoryFiles, tmp_path: Path
) -> None:
    key, public = signer
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
    work.commit()
    work.git(*signing, "commit", "-q", "--allow-empty", "-S", "-m", "signed")
    work.git(*signing, "tag", "-s", "v1.0.0", "-m", "signed")
    work.git("tag", "v1.0.1")
    url, keys = f"file://{work.root}", {"me.sshpub": public}
    verify = {"mode": "HEAD", "secretRef": {"name": "k"}}
    shown = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True).stdout
    found = check(source(url, ref={"branch": "main"}, verify=verify), keys, handed, tmp_path / "kept")
    assert found.startswith("SHA256:") and found in shown
    for mode in ("Tag", "TagAndHEAD"):
        check(source(url, ref={"tag": "v1.0.0"}, verify={**verify, "mode": mode}), keys, handed, tmp_path / "kept")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    stranger = {"me.sshpub": other.with_suffix(".pub").read_text()}
    for ref, mode, given in (
        ({"branch": "main"}, "HEAD", stranger),
        ({"tag": "v1.0.1"}, "Tag", keys),
        ({"branch": "main"}, "Tag", keys),
        ({"branch": "main"}, "HEAD", {}),
    ):
        with pytest.raises(UnverifiedSignatureError):
            check(source(url, ref=ref, verify={**verify, "mode": mode}), given, handed, tmp_path / "kept")
    work.commit("unsigned.yaml")
    with pytest.raises(UnverifiedSignatureError, match="is not signed by a trusted key"):
        check(source(url, ref={"branch": "main"}, verify=verify), keys, handed, tmp_path / "kept")


def test_commits_must_be_signed_with_a_key_of_pgp(work: Work, handed: MemoryFiles, tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--batch", "--homedir", str(home), "--pinentry-mode", "loopback", "--passphrase", ""]
    if subprocess.run(["sh", "-c", "command -v gpg"], check=False, capture_output=True).returncode:
        pytest.skip("GnuPG is not installed")
    try:
        subprocess.run(
            [*gpg, "--quick-generate-key", "a <a@example.com>", "ed25519", "sign", "0"], check=True, capture_output=True
        )
        public = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True, text=True).stdout
        work.commit()
        work.git("commit", "-q", "--allow-empty", "-Sa@example.com", "-m", "signed", GNUPGHOME=str(home))
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
    verify = {"mode": "HEAD", "secretRef": {"name": "k"}}
    one = source(f"file://{work.root}", ref={"branch": "main"}, verify=verify)
    assert len(check(one, {"author.asc": public}, handed, tmp_path / "kept")) == 40
    with pytest.raises(ToolError, match="is not a PGP key"):
        check(one, {"author.asc": "nonsense"}, handed, tmp_path / "kept")
    with pytest.raises(UnverifiedSignatureError):
        check(one, {}, handed, tmp_path / "kept")
