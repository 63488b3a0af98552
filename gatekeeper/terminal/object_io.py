"""What the commands for secrets read and print: files, standard input, certificates, private keys."""

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
    """A certificate to seal with.

    Raises:
        SealError: it is none, or no longer valid.
    """
    # What has to do with SOPS alone needs no cryptography of ours.
    from gatekeeper.sealedsecrets import keyring

    return keyring.parse_certificate(fetch_certificate(source), source)


def load_private_keys(paths: Sequence[Path]) -> list[SealingKey]:
    """The private keys in some files; a file that sops encrypted is opened with the keys of its user.

    Raises:
        SealError: a file holds no key, or cannot be opened.
    """
    from gatekeeper.sealedsecrets import keyring

    return keyring.load_keys([(str(path), read_decrypted(path)) for path in paths])


def read_decrypted(path: Path) -> bytes:
    """A file, decrypted where sops encrypted it."""
    content = read_input(path)
    if not (sops_files.is_candidate(content) and sops_files.is_sops_file(path.name, content)):
        return content
    return sops_cli.decrypt(content, sops_cli.resolve_target(path)).reveal()


def parse_objects(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object of a file, those of a List too, and where it stands.

    Raises:
        SealError: the file is no YAML or JSON, or holds nothing.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"{name}: is no text (byte {error.start})") from None
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SealError(f"{name}:{failure[1]}:{failure[2]}: is no YAML or JSON: {failure[0]}")
    found = False
    for document in parsed:
        for key, line, _, first in document.duplicates:
            raise SealError(f"{name}:{line}: `{key}` is written twice, first in line {first}; remove one")
        value = documents.to_value(document)
        listed = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                found = True
                yield item, f"{name}:{document.start[0]}"
    if not found:
        raise SealError(f"{name}: holds no object")


def format_objects(values: Sequence[dict[str, Any]], output_format: str) -> str:
    """Objects as one text."""
    if output_format == "json":
        import orjson

        return "".join(orjson.dumps(one, option=orjson.OPT_INDENT_2).decode() + "\n" for one in values)
    import yaml

    texts = [yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=1_000_000) for one in values]
    return "---\n".join(texts)


def fetch_certificate(source: str) -> bytes:
    """A certificate, from a file or from where the controller shows it (`/v1/cert.pem`).

    Raises:
        SealError: the URL does not answer, or with something too large.
    """
    if not source.startswith(("http://", "https://")):
        return read_input(Path(source))
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(source, timeout=FETCH_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(MAX_CERTIFICATE_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SealError(f"{source}: does not answer with a certificate: {reason}") from None
    if len(content) > MAX_CERTIFICATE_BYTES:
        raise SealError(f"{source}: answers with more than a certificate")
    return content


def read_input(path: Path | None) -> bytes:
    """A file, or standard input; as much as a Secret can be."""
    if path is None or str(path) == "-":
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        try:
            with path.open("rb") as handle:
                content = handle.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise SealError(f"{path or 'standard input'}: larger than {MAX_BYTES >> 20} MB, so it is no Secret")
    return content
