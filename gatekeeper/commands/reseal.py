"""`gatekeeper reseal`: SealedSecrets sealed for another certificate, offline; all else in the files stays."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from gatekeeper import documents, files
from gatekeeper.commands.seal import fetched, read
from gatekeeper.errors import SealError
from gatekeeper.model import at
from gatekeeper.sealing import editing, keyring, sealed
from gatekeeper.sealing.keyring import Certificate, Key
from gatekeeper.sealing.scopes import SEALED_WITH

EXAMPLES = """examples:
  gatekeeper reseal --key backup-of-the-controller.yaml --cert keys/prod-2027.pem clusters/prod
  gatekeeper reseal --key old.pem --cert keys/new.pem --dry-run .

Every value is opened with the keys and sealed for the certificate, in its scope. Names, templates, comments and order
stay. A file in which one value cannot be opened is left as it is. Exit status: 0 all are sealed for it, 1 some are not.
"""


def reseal(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper reseal",
        description="Seal SealedSecrets for another certificate, with the private keys at hand, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    options.add_argument("--key", action="append", required=True, type=Path, metavar="FILE", help="can be repeated")
    options.add_argument("--cert", required=True, metavar="FILE|URL", help="the certificate to seal for")
    options.add_argument(
        "--dry-run", action="store_true", help="tell what is sealed for which certificate, change nothing"
    )
    given = options.parse_args(arguments)
    certificate = keyring.certificate(fetched(given.cert), given.cert)
    keys = keyring.load(given.key)
    status = 0
    for path in _files(given.paths):
        try:
            old, new, marks = _resealed(path, keys, certificate)
        except SealError as error:
            sys.stdout.write(f"FAILED    {error}\n")
            status = 1
            continue
        if old == new:
            sys.stdout.write(f"as it is  {path}\n")
            continue
        sys.stdout.write(
            f"{'would be' if given.dry_run else 'resealed'}  {path} (was for {', '.join(sorted(marks))})\n"
        )
        if given.dry_run:
            status = 1
        else:
            files.write(path, new.encode())
    return status


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files with SealedSecrets, each once."""
    seen: set[Path] = set()
    for start in paths:
        listed = [start] if not start.is_dir() else sorted(path for path in start.rglob("*") if path.is_file())
        for path in listed:
            is_one = path.suffix in documents.EXTENSIONS and b"SealedSecret" in read(path)
            if (is_one or path == start) and path.resolve() not in seen and ".git" not in path.parts:
                seen.add(path.resolve())
                yield path


def _resealed(path: Path, keys: list[Key], certificate: Certificate) -> tuple[str, str, set[str]]:
    """The text before and after, and the fingerprints of the keys that opened it."""
    try:
        old = read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"{path}: is no text (byte {error.start})") from None
    parsed, failure = documents.parse(old.encode())
    if failure is not None:
        raise SealError(f"{path}:{failure[1]}: cannot be read: {failure[0]}")
    changes: dict[str, str] = {}
    marks: set[str] = set()
    for value in map(documents.value_of, parsed):
        if not isinstance(value, dict) or value.get("kind") != sealed.KIND:
            continue
        try:
            for text, used, new in sealed.resealed(value, keys, certificate):
                marks.add(used[:16])
                changes[text] = new
        except SealError as error:
            raise SealError(f"{path}: {error}") from error
        mark = at(value, ("metadata", "annotations", SEALED_WITH))
        if isinstance(mark, str) and mark != certificate.fingerprint and changes:
            changes.setdefault(mark, certificate.fingerprint)
    new = editing.replaced(old, changes, str(path))
    return old, new, marks
