"""Flux's own signed commits and tags, of every kind of key, by git and gpg as they are used here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_transport, signature
from gatekeeper.repositories.revision import Revision
from gatekeeper.repositories.signature import UnverifiedSignatureError
from gatekeeper.secret_value import SecretBytes
from tests.repositories.test_git_fetch import source
from tests.servers.modules import module

MODULE = "github.com/fluxcd/pkg/git", "v0.53.0"
HOW = {"gpg": ".asc", "ssh": ".sshpub"}


@pytest.fixture
def handed() -> Iterator[MemoryFiles]:
    found = MemoryFiles()
    yield found
    found.close()


def stored(mirror: Path, kind: str, text: bytes) -> str:
    """Puts a commit or a tag into a repository; what it names need not be there."""
    command = ["git", f"--git-dir={mirror}", "hash-object", "-w", "--literally", "-t", kind, "--stdin"]
    name = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().strip()
    (mirror / "FETCH_HEAD").write_text(f"{name}\n")
    return name


@pytest.mark.parametrize("kind", ["gpg", "ssh"])
def test_what_flux_accepts_is_accepted_and_what_it_refuses_is_refused(
    kind: str, handed: MemoryFiles, tmp_path: Path
) -> None:
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
