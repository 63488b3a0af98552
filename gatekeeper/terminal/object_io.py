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
    from gatekeeper.sealedsecrets.keyring import Certificate, Key

MOST_BYTES = 16 * 1024 * 1024
MOST_CERTIFICATE = 256 * 1024
SECONDS = 10.0


def certificate(source: str) -> Certificate:
    """A certificate to seal with.

    Raises:
        SealError: it is none, or no longer valid.
    """
    # What has to do with SOPS alone needs no cryptography of ours.
    from gatekeeper.sealedsecrets import keyring

    return keyring.certificate(fetched(source), source)


def ring(paths: Sequence[Path]) -> list[Key]:
    """The private keys in some files; a file that sops encrypted is opened with the keys of its user.

    Raises:
        SealError: a file holds no key, or cannot be opened.
    """
    from gatekeeper.sealedsecrets import keyring

    return keyring.load([(str(path), opened(path)) for path in paths])


def opened(path: Path) -> bytes:
    """A file, decrypted where sops encrypted it."""
    content = read(path)
    if not (sops_files.may_be_one(content) and sops_files.is_sops(path.name, content)):
        return content
    return sops_cli.decrypt(content, sops_cli.place(path), (), sops_cli.SECONDS).reveal()


def objects(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
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
        value = documents.value_of(document)
        listed = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                found = True
                yield item, f"{name}:{document.start[0]}"
    if not found:
        raise SealError(f"{name}: holds no object")


def written(found: Sequence[dict[str, Any]], form: str) -> str:
    """Objects as one text."""
    if form == "json":
        import orjson

        return "".join(orjson.dumps(one, option=orjson.OPT_INDENT_2).decode() + "\n" for one in found)
    import yaml

    texts = [yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=1_000_000) for one in found]
    return "---\n".join(texts)


def fetched(source: str) -> bytes:
    """A certificate, from a file or from where the controller shows it (`/v1/cert.pem`).

    Raises:
        SealError: the URL does not answer, or with something too large.
    """
    if not source.startswith(("http://", "https://")):
        return read(Path(source))
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(source, timeout=SECONDS) as answer:
            content: bytes = answer.read(MOST_CERTIFICATE + 1)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SealError(f"{source}: does not answer with a certificate: {reason}") from None
    if len(content) > MOST_CERTIFICATE:
        raise SealError(f"{source}: answers with more than a certificate")
    return content


def read(path: Path | None) -> bytes:
    """A file, or standard input; as much as a Secret can be."""
    if path is None or str(path) == "-":
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with path.open("rb") as handle:
                content = handle.read(MOST_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise SealError(f"{path or 'standard input'}: larger than {MOST_BYTES >> 20} MB, so it is no Secret")
    return content
