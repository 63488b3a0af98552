"""Whether a commit or tag is signed by one of those who may, with PGP or SSH keys; by git and gpg.

Source: source-controller `docs/spec/v1/gitrepositories.md` (verification): keys are told apart by how they are called.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.git_transport import GitTransport
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes

SSH_KEY_SUFFIX = ".sshpub"
# What gpg, and what ssh-keygen says of whose signature it is.
SIGNER_FINGERPRINT = re.compile(r"VALIDSIG ([0-9A-F]{40,64})|key (SHA256:\S+)")


class UnverifiedSignatureError(ToolError):
    """A commit or tag is not signed by anybody who may."""

    exit_code = 1


def verify_signature(
    source: GitRepository, revision: Revision, mirror: Path, transport: GitTransport, keys: Mapping[str, SecretBytes]
) -> str:
    """Returns where all is signed that must be: the fingerprint of the key; empty where nothing must be.

    Args:
        keys: of those who may sign, by file name: `*.sshpub` is SSH, all others are PGP.

    Raises:
        Unverified: something is not, or by nobody who may.
        ToolError: gpg is not there, or a key is none.
    """
    if source.verification is None:
        return ""
    signer = ""
    mode = source.verification.mode
    with tempfile.TemporaryDirectory(prefix="gatekeeper-verify-") as scratch:
        home = Path(scratch)
        home.chmod(0o700)
        options = _install_keys(home, keys, source.timeout)
        environment = {**transport.environment, "GNUPGHOME": str(home)}
        tag = revision.fetch_ref if revision.fetch_ref.startswith("refs/tags/") else ""
        if mode in ("Tag", "TagAndHEAD"):
            if not tag:
                raise UnverifiedSignatureError(
                    f"{source.url}: `verify.mode: {mode}` needs a tag, and {revision} is none"
                )
            # The tag itself was fetched; what it is called there is nothing to its signature.
            what = f"the tag {revision.ref_name}"
            signer = _verify_object(source, mirror, options, environment, "verify-tag", "FETCH_HEAD", what)
        if mode != "Tag":
            what = f"the commit {revision.commit[:12]}"
            signer = _verify_object(source, mirror, options, environment, "verify-commit", revision.commit, what)
    return signer


def _install_keys(home: Path, keys: Mapping[str, SecretBytes], seconds: float) -> list[str]:
    """Puts the keys where git looks for them: options that say so."""
    signers = [
        value.reveal().decode("utf-8", "replace").strip()
        for name, value in keys.items()
        if name.endswith(SSH_KEY_SUFFIX)
    ]
    allowed = home / "allowed_signers"
    allowed.write_text("".join(f'* namespaces="git" {line}\n' for line in signers), encoding="utf-8")
    others = [value for name, value in keys.items() if not name.endswith(SSH_KEY_SUFFIX)]
    if others and shutil.which("gpg") is None:
        raise ToolError("GnuPG (`gpg`) is not installed, and signatures with PGP keys are to be checked")
    for value in others:
        command = ["gpg", "--batch", "--no-autostart", "--homedir", str(home), "--import"]
        code, _, _ = process.run_command(command, seconds, home, value.reveal(), advice="raise `timeout`")
        if code != 0:
            raise ToolError("a key to verify with is no PGP key (one of SSH is told by the ending `.sshpub`)")
    return ["-c", f"gpg.ssh.allowedSignersFile={allowed}"]


def _verify_object(
    source: GitRepository,
    mirror: Path,
    options: list[str],
    environment: Mapping[str, str],
    subcommand: str,
    object_name: str,
    subject: str,
) -> str:
    command = ["git", f"--git-dir={mirror}", *options, subcommand, "--raw", object_name]
    code, _, words = process.run_command(command, source.timeout, mirror, None, environment, advice="raise `timeout`")
    if code != 0:
        raise UnverifiedSignatureError(f"{source.url}: {subject} is not signed by any of those who may")
    found = SIGNER_FINGERPRINT.search(words)
    return next((one for one in found.groups() if one), "") if found else ""
