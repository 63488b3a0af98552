"""Input and output of the commands for secrets: files, standard input, certificates, private keys, objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import SealError, UsageError
from gatekeeper.sops import sops_cli
from gatekeeper.sops import sops_file as sops_files
from gatekeeper.workspace import documents

if TYPE_CHECKING:
    from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey

MAX_BYTES = 16 * 1024 * 1024
MAX_CERTIFICATE_BYTES = 256 * 1024
FETCH_TIMEOUT_SECONDS = 10.0


def load_certificate(source: str) -> SealingCertificate:
    """Loads the certificate to seal with, from a file or URL.

    Raises:
        SealError: it is not a certificate, or no longer valid.
    """
    # Commands that use only SOPS need not load the cryptography library.
    from gatekeeper.sealedsecrets import keyring

    return keyring.parse_certificate(fetch_certificate(source), source)


def load_private_keys(paths: Sequence[Path]) -> list[SealingKey]:
    """Loads the private keys from files; SOPS files are decrypted with the keys of the user.

    Raises:
        SealError: a file contains no key, or cannot be decrypted.
    """
    # As above: cryptography loads slowly.
    from gatekeeper.sealedsecrets import keyring

    return keyring.load_keys([(str(path), read_decrypted(path)) for path in paths])


def read_decrypted(path: Path) -> bytes:
    """Reads a file and decrypts it if it is a SOPS file."""
    content = read_input(path)
    if not (sops_files.is_candidate(content) and sops_files.is_sops_file(path.name, content)):
        return content
    return sops_cli.decrypt(content, sops_cli.resolve_target(path)).reveal()


def parse_objects(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each object of a file, also of a List, with its location as `name:line`.

    Raises:
        SealError: the file is not YAML or JSON, has a duplicate key, or contains no object.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"{name}: not UTF-8 text (byte {error.start})") from None
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SealError(f"{name}:{failure[1]}:{failure[2]}: invalid YAML or JSON: {failure[0]}")
    is_empty = True
    for document in parsed:
        for key, line, _, first in document.duplicates:
            raise SealError(f"{name}:{line}: duplicate key `{key}`, first in line {first}; remove one")
        value = documents.to_value(document)
        listed = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                is_empty = False
                yield item, f"{name}:{document.start[0]}"
    if is_empty:
        raise SealError(f"{name}: contains no object")


def format_objects(values: Sequence[dict[str, Any]], output_format: str) -> str:
    """Formats objects as one YAML stream or as JSON documents."""
    if output_format == "json":
        # One of the two libraries is enough for each run.
        import orjson

        return "".join(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n" for value in values)
    # As above.
    from gatekeeper.terminal.yaml_output import dump_yaml

    return "---\n".join(dump_yaml(value) for value in values)


def fetch_certificate(source: str) -> bytes:
    """Reads a certificate from a file, or from the URL where the controller serves it (`/v1/cert.pem`).

    Raises:
        SealError: the URL does not respond, or its response is too large.
    """
    if not source.startswith(("http://", "https://")):
        return read_input(Path(source))
    # Most certificates are files: the HTTP client loads slowly.
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(source, timeout=FETCH_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(MAX_CERTIFICATE_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SealError(f"{source}: could not fetch the certificate: {reason}") from None
    if len(content) > MAX_CERTIFICATE_BYTES:
        raise SealError(f"{source}: the response is too large for a certificate")
    return content


def read_input(path: Path | None) -> bytes:
    """Reads a file or standard input, up to the size limit.

    Raises:
        UsageError: the file cannot be read.
        SealError: it is larger than any Secret.
    """
    if path is None or str(path) == "-":
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        try:
            with path.open("rb") as handle:
                content = handle.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise SealError(f"{path or 'standard input'}: larger than {MAX_BYTES >> 20} MB, which no Secret can be")
    return content
