"""Verifies the PGP or SSH signature of a commit or tag against trusted keys, with git and gpg.

Source: source-controller `docs/spec/v1/gitrepositories.md` (verification): the file name shows the type of a key.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.git_transport import GitTransport
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes

SSH_KEY_SUFFIX = ".sshpub"
# How gpg, and how ssh-keygen, name the key of a valid signature.
SIGNER_FINGERPRINT = re.compile(r"VALIDSIG ([0-9A-F]{40,64})|key (SHA256:\S+)")


class UnverifiedSignatureError(ToolError):
    """A commit or tag is not signed by a trusted key."""

    exit_code = 1


def verify_signature(
    source: GitRepository, revision: Revision, mirror: Path, transport: GitTransport, keys: Mapping[str, SecretBytes]
) -> str:
    """Verifies what `spec.verify` demands; returns the fingerprint of the key, or empty if it demands nothing.

    Args:
        mirror: the bare repository that has the commit.
        keys: the trusted keys by file name: `*.sshpub` is an SSH key, any other name a PGP key.

    Raises:
        UnverifiedSignatureError: a signature is missing, or not by a trusted key.
        ToolError: gpg is not installed, or a key is malformed.
    """
    if source.verification is None:
        return ""
    signer = ""
    mode = source.verification.mode
    with tempfile.TemporaryDirectory(prefix="gatekeeper-verify-") as scratch:
        home = Path(scratch)
        home.chmod(0o700)
        environment = {**transport.environment, "GNUPGHOME": str(home)}
        verifier = _Verifier(source, mirror, _install_keys(home, keys, source.timeout), environment)
        tag = revision.fetch_ref if revision.fetch_ref.startswith("refs/tags/") else ""
        if mode in ("Tag", "TagAndHEAD"):
            if not tag:
                raise UnverifiedSignatureError(
                    f"{source.url}: `verify.mode: {mode}` needs a tag, and {revision} is not one"
                )
            # The tag object is what was fetched.
            subject = f"the tag {revision.ref_name}"
            signer = verifier.verify("verify-tag", "FETCH_HEAD", subject)
        if mode != "Tag":
            subject = f"the commit {revision.commit[:12]}"
            signer = verifier.verify("verify-commit", revision.commit, subject)
    return signer


def _install_keys(home: Path, keys: Mapping[str, SecretBytes], seconds: float) -> list[str]:
    """Installs the keys into a temporary home; the git options that use them.

    Raises:
        ToolError: gpg is not installed, or a key is malformed.
    """
    signers = [
        value.reveal().decode("utf-8", "replace").strip()
        for name, value in keys.items()
        if name.endswith(SSH_KEY_SUFFIX)
    ]
    allowed = home / "allowed_signers"
    allowed.write_text("".join(f'* namespaces="git" {line}\n' for line in signers), encoding="utf-8")
    others = [value for name, value in keys.items() if not name.endswith(SSH_KEY_SUFFIX)]
    if others and shutil.which("gpg") is None:
        raise ToolError("GnuPG (`gpg`) is not installed, but PGP signatures must be verified: install it")
    for value in others:
        command = ["gpg", "--batch", "--no-autostart", "--homedir", str(home), "--import"]
        code, _, _ = process.run_command(command, seconds, home, value.reveal(), advice="raise `timeout`")
        if code != 0:
            raise ToolError("a verification key is not a PGP key (the name of an SSH key must end with `.sshpub`)")
    return ["-c", f"gpg.ssh.allowedSignersFile={allowed}"]


class _Verifier(NamedTuple):
    """Verifies signatures in the mirror of a repository, with the trusted keys."""

    source: GitRepository
    mirror: Path
    git_options: list[str]
    environment: Mapping[str, str]

    def verify(self, subcommand: str, object_name: str, subject: str) -> str:
        """Verifies a commit or tag, which the message calls `subject`; returns the fingerprint of the signer.

        Raises:
            UnverifiedSignatureError: it is not signed by a trusted key.
        """
        command = ["git", f"--git-dir={self.mirror}", *self.git_options, subcommand, "--raw", object_name]
        code, _, error_text = process.run_command(
            command, self.source.timeout, self.mirror, environment=self.environment, advice="raise `timeout`"
        )
        if code != 0:
            raise UnverifiedSignatureError(f"{self.source.url}: {subject} is not signed by a trusted key")
        match = SIGNER_FINGERPRINT.search(error_text)
        return next(filter(None, match.groups()), "") if match else ""
