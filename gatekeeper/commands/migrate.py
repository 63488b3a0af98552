"""`gatekeeper migrate`: ExternalSecrets and SecretStores of old API versions, rewritten in place."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import migration
from gatekeeper.externalsecrets.external_secret_spec import GROUP
from gatekeeper.host import atomic_file
from gatekeeper.terminal.object_io import read_input
from gatekeeper.workspace import documents

EXAMPLES = """examples:
  gatekeeper migrate clusters/prod
  gatekeeper migrate --dry-run .

What is external-secrets.io/v1alpha1 or v1beta1 becomes v1: comments, order and quotes stay, and what was rewritten is
read again and must ask for the same. What a person has to do is told with its line.
Exit status: 0 all is of the newest version, 1 something is left (or, with --dry-run, would be rewritten).
"""


def migrate(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper migrate",
        description="Rewrite ExternalSecrets and SecretStores of old API versions, in place.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    options.add_argument("--dry-run", action="store_true", help="tell what would be rewritten, change nothing")
    given = options.parse_args(arguments)
    status = 0
    for path, content in _find_files(given.paths):
        try:
            new = migration.migrate_file(content)
        except GateError as error:
            sys.stdout.write(f"{path}:{error}\n")
            status = 1
            continue
        for line, reason in new.remaining:
            sys.stdout.write(f"{path}:{line}: left as it is: {reason}\n")
            status = 1
        if new.migrated_count:
            sys.stdout.write(f"{path}: {new.migrated_count} {'would be rewritten' if given.dry_run else 'rewritten'}\n")
            if given.dry_run:
                status = 1
            else:
                atomic_file.write(path, new.text.encode())
    return status


def _find_files(paths: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for start in paths:
        listed = sorted(start.rglob("*")) if start.is_dir() else [start]
        for path in listed:
            if path.suffix in documents.EXTENSIONS and path.is_file() and ".git" not in path.parts:
                content = read_input(path)
                if GROUP.encode() in content and (b"v1alpha1" in content or b"v1beta1" in content):
                    yield path, content
