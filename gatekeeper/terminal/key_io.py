"""Input of keys: certificates from files or the controller, and private keys, which SOPS may have encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey
from gatekeeper.sops import sops_cli
from gatekeeper.sops import sops_file as sops_files
from gatekeeper.terminal.object_io import read_input

MAX_CERTIFICATE_BYTES = 256 * 1024
FETCH_TIMEOUT_SECONDS = 10.0


def load_certificate(source: str) -> SealingCertificate:
    """Loads the certificate to seal with, from a file or URL.

    Raises:
        SecretFileError: it is not a certificate, or no longer valid.
    """
    return keyring.parse_certificate(fetch_certificate(source), source)


def load_private_keys(paths: Sequence[Path]) -> list[SealingKey]:
    """Loads the private keys from files; SOPS files are decrypted with the keys of the user.

    Raises:
        SecretFileError: a file contains no key, or cannot be decrypted.
    """
    return keyring.load_keys([(str(path), read_decrypted(path)) for path in paths])


def read_decrypted(path: Path) -> bytes:
    """Reads a file and decrypts it if it is a SOPS file."""
    content = read_input(path)
    if not (sops_files.is_candidate(content) and sops_files.is_sops_file(path.name, content)):
        return content
    return sops_cli.decrypt(content, sops_cli.resolve_target(path)).reveal()


def fetch_certificate(source: str) -> bytes:
    """Reads a certificate from a file, or from the URL where the controller serves it (`/v1/cert.pem`).

    Raises:
        SecretFileError: the URL does not respond, or its response is too large.
    """
    if not source.startswith(("http://", "https://")):
        return read_input(Path(source))
    try:
        with urlopen(source, timeout=FETCH_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(MAX_CERTIFICATE_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SecretFileError(f"{source}: could not fetch the certificate: {reason}") from None
    if len(content) > MAX_CERTIFICATE_BYTES:
        raise SecretFileError(f"{source}: the response is too large for a certificate")
    return content
