"""Flux's own signed commits and tags, of every kind of key, by git and gpg as they are used here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_fetch, git_transport, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.revision import Revision
from gatekeeper.repositories.signature import UnverifiedSignatureError
from gatekeeper.secret_value import SecretBytes
from tests.repositories.git_work import Work, source
from tests.servers.modules import module

MODULE = "github.com/fluxcd/pkg/git", "v0.53.0"
HOW = {"gpg": ".asc", "ssh": ".sshpub"}


def stored(mirror: Path, kind: str, text: bytes) -> str:
    """Puts a commit or a tag into a repository; what it names need not be there."""
    command = ["git", f"--git-dir={mirror}", "hash-object", "-w", "--literally", "-t", kind, "--stdin"]
    name = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().strip()
    (mirror / "FETCH_HEAD").write_text(f"{name}\n")
    return name


@pytest.mark.parametrize("kind", ["gpg", "ssh"])
def test_results_match_flux(kind: str, handed: MemoryFiles, tmp_path: Path) -> None:
    if kind == "gpg" and shutil.which("gpg") is None:
        pytest.skip("GnuPG is not installed")
    folder = module(*MODULE) / "signature" / "testdata" / f"{kind}_signatures"
    mirror = tmp_path / "mirror.git"
    subprocess.run(["git", "init", "-q", "--bare", str(mirror)], check=True)
    keys = {path.stem.removeprefix("key_"): SecretBytes(path.read_bytes()) for path in folder.glob("key_*.pub")}
    way = git_transport.build_transport("file:///x", {}, handed)

    def check(file: Path, key: SecretBytes) -> str:
        what = file.name.partition("_")[0]
        name = stored(mirror, what, file.read_bytes())
        mode = {"commit": "HEAD", "tag": "Tag"}[what]
        one = source("file:///x", verify={"mode": mode, "secretRef": {"name": "k"}})
        revision = Revision("v1", name, "refs/tags/v1") if what == "tag" else Revision("", name, name)
        return signature.verify_signature(one, revision, mirror, way, {f"key{HOW[kind]}": key})

    signed = 0
    for file in sorted(folder.glob("*_signed.txt")):
        name = file.stem.partition("_")[2].removesuffix("_signed")
        assert check(file, keys[name]), file.name
        other = next(key for own, key in keys.items() if own != name)
        with pytest.raises(UnverifiedSignatureError):
            check(file, other)
        signed += 1
    assert signed >= 8
    for file in folder.glob("*_unsigned.txt"):
        with pytest.raises(UnverifiedSignatureError):
            check(file, next(iter(keys.values())))


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Path, str]:
    """A key of SSH, and its public part."""
    key = tmp_path / "signer"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key, key.with_suffix(".pub").read_text()


def check_signature(one: GitRepository, keys: dict[str, str], handed: MemoryFiles, folder: Path) -> str:
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
    found = check_signature(source(url, ref={"branch": "main"}, verify=verify), keys, handed, tmp_path / "kept")
    assert found.startswith("SHA256:") and found in shown
    for mode in ("Tag", "TagAndHEAD"):
        check_signature(
            source(url, ref={"tag": "v1.0.0"}, verify={**verify, "mode": mode}), keys, handed, tmp_path / "kept"
        )
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
            check_signature(source(url, ref=ref, verify={**verify, "mode": mode}), given, handed, tmp_path / "kept")
    work.commit("unsigned.yaml")
    with pytest.raises(UnverifiedSignatureError, match="is not signed by a trusted key"):
        check_signature(source(url, ref={"branch": "main"}, verify=verify), keys, handed, tmp_path / "kept")


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
    assert len(check_signature(one, {"author.asc": public}, handed, tmp_path / "kept")) == 40
    with pytest.raises(ToolError, match="is not a PGP key"):
        check_signature(one, {"author.asc": "nonsense"}, handed, tmp_path / "kept")
    with pytest.raises(UnverifiedSignatureError):
        check_signature(one, {}, handed, tmp_path / "kept")
