"""`gatekeeper reseal`: seals SealedSecrets for another certificate, offline; the rest of each file stays unchanged."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper.config import CERTIFICATE_FOLDER
from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sealedsecrets import in_place_edit, keyring, sealedsecret
from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey
from gatekeeper.sealedsecrets.scope import find_sealed_with
from gatekeeper.terminal.key_io import load_certificate, load_private_keys
from gatekeeper.terminal.object_io import read_input
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import list_files_below

EXAMPLES = """examples:
  gatekeeper reseal --key backup-of-the-controller.yaml --cert keys/prod-2027.pem clusters/prod
  gatekeeper reseal --key old.pem --cert keys/new.pem --dry-run .
  gatekeeper reseal --key all.yaml --cert clusters/prod=keys/prod.pem --cert clusters/test=keys/test.pem .

The command decrypts every value with the keys and seals it for the certificate, in the same scope. Names, templates,
comments and order stay. A file with a value that no key opens stays unchanged. FOLDER=FILE uses a certificate for the
files below a folder; the longest matching folder counts. Exit status: 0 all files are sealed for their certificate, 1
some are not.
"""


class ResealTarget(NamedTuple):
    """A certificate for the files below a folder; for all files if the folder is None."""

    folder: Path | None
    certificate: SealingCertificate


class ResealResult(NamedTuple):
    """A file's text before and after, and the fingerprints of the keys that opened its values."""

    old_text: str
    new_text: str
    fingerprints: Counter[str]


def reseal(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: --cert names a folder that does not exist.
        SecretFileError: a certificate or private key cannot be loaded.
    """
    args = _build_parser().parse_args(arguments)
    targets = [_parse_target(text) for text in args.cert]
    keys = load_private_keys(args.key)
    known = dict(_list_certificate_names(args.cert))
    status, counts = 0, Counter[str]()
    for path in _find_files(args.paths):
        try:
            old, new, marks = _reseal_file(path, keys, _find_certificate(path, targets))
        except SecretFileError as error:
            sys.stdout.write(f"FAILED    {error}\n")
            status = 1
            continue
        counts.update(dict.fromkeys(marks, 1))
        if old == new:
            sys.stdout.write(f"unchanged {path}\n")
            continue
        was = ", ".join(known.get(mark, mark[:16]) for mark in sorted(marks))
        sys.stdout.write(f"{'would be' if args.dry_run else 'resealed'}  {path} (was sealed for {was})\n")
        if args.dry_run:
            status = 1
        else:
            atomic_file.write(path, new.encode())
    for mark, count in sorted(counts.items()):
        sys.stdout.write(
            f"{count} {'file was' if count == 1 else 'files were'} sealed for {known.get(mark, mark[:16])}\n"
        )
    return status


def _build_parser() -> argparse.ArgumentParser:
    parser = create_parser(
        "reseal", "Seal SealedSecrets for another certificate, with local private keys, offline.", EXAMPLES
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument(
        "--key", action="append", required=True, type=Path, metavar="FILE", help="a private key; may be repeated"
    )
    parser.add_argument(
        "--cert",
        action="append",
        required=True,
        metavar="[FOLDER=]FILE|URL",
        help="the certificate to seal for; repeat with FOLDER= for several",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print which file is sealed for which certificate, change nothing"
    )
    return parser


def _parse_target(text: str) -> ResealTarget:
    folder, is_split, source = text.partition("=")
    if not is_split or "://" in folder:
        return ResealTarget(None, load_certificate(text))
    if not Path(folder).is_dir():
        raise UsageError(f"--cert {text}: {folder} is not a folder")
    return ResealTarget(Path(folder).resolve(), load_certificate(source))


def _find_certificate(path: Path, targets: Sequence[ResealTarget]) -> SealingCertificate:
    whole = path.resolve()
    matching = [target for target in targets if target.folder is None or whole.is_relative_to(target.folder)]
    if not matching:
        raise SecretFileError(f"{path}: no --cert covers this folder; add --cert FOLDER=FILE")
    return max(matching, key=lambda target: len(target.folder.parts) if target.folder else -1).certificate


def _list_certificate_names(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Fingerprints and file names of the certificates in `keys/` and of those to seal for."""
    own = [Path(text.partition("=")[2] if "=" in text else text) for text in sources if "://" not in text]
    for path in [
        *sorted(Path(CERTIFICATE_FOLDER).glob("*.pem")),
        *sorted(Path(CERTIFICATE_FOLDER).glob("*.crt")),
        *own,
    ]:
        try:
            yield keyring.parse_certificate(path.read_bytes(), str(path), must_be_valid=False).fingerprint, str(path)
        except (SecretFileError, OSError):
            continue


def _find_files(paths: list[Path]) -> Iterator[Path]:
    """The files with SealedSecrets, each once."""
    seen: set[Path] = set()
    for start in paths:
        listed = list_files_below(start, documents.EXTENSIONS) if start.is_dir() else [start]
        for path in listed:
            is_one = path.suffix in documents.EXTENSIONS and b"SealedSecret" in read_input(path)
            if (is_one or path == start) and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _reseal_file(path: Path, keys: list[SealingKey], certificate: SealingCertificate) -> ResealResult:
    try:
        old = read_input(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{path}: not UTF-8 text (byte {error.start})") from None
    parsed, failure = documents.parse(old.encode())
    if failure is not None:
        raise SecretFileError(f"{path}:{failure[1]}: invalid YAML: {failure[0]}")
    changes: dict[str, str] = {}
    marks: Counter[str] = Counter()
    for document in parsed:
        value = documents.to_value(document)
        if not isinstance(value, dict) or value.get("kind") != sealedsecret.KIND:
            continue
        try:
            for text, used, new in sealedsecret.reseal_values(value, keys, certificate):
                marks[used] += 1
                if new:
                    changes[text] = new
        except SecretFileError as error:
            raise SecretFileError(f"{path}:{document.start[0]}: {error}") from error
        _, sealed_with = find_sealed_with(value)
        if sealed_with not in ("", certificate.fingerprint) and changes:
            changes.setdefault(sealed_with, certificate.fingerprint)
    return ResealResult(old, in_place_edit.replace_texts(old, changes, str(path)), marks)
