"""`gatekeeper migrate`: rewrites ExternalSecrets and SecretStores with old API versions in place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets import migration
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.host import atomic_file
from gatekeeper.terminal.object_io import read_input
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import list_files_below

EXAMPLES = """examples:
  gatekeeper migrate clusters/prod
  gatekeeper migrate --dry-run .

external-secrets.io/v1alpha1 and v1beta1 become v1. Comments, order and quotes stay. Every rewritten object is parsed
again and must request the same secrets. Fields that need a manual change are printed with their line.
Exit status: 0 everything uses the newest version, 1 something remains (with --dry-run: or would be rewritten).
"""


def migrate(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: a file cannot be read.
    """
    parser = create_parser(
        "migrate", "Rewrite ExternalSecrets and SecretStores with old API versions, in place.", EXAMPLES
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--dry-run", action="store_true", help="print what would be rewritten, change nothing")
    args = parser.parse_args(arguments)
    status = 0
    for path, content in _find_files(args.paths):
        try:
            new = migration.migrate_file(content)
        except GatekeeperError as error:
            sys.stdout.write(f"{path}:{error}\n")
            status = 1
            continue
        for line, reason in new.remaining:
            sys.stdout.write(f"{path}:{line}: needs a manual change: {reason}\n")
            status = 1
        if new.migrated_count:
            sys.stdout.write(f"{path}: {new.migrated_count} {'would be rewritten' if args.dry_run else 'rewritten'}\n")
            if args.dry_run:
                status = 1
            else:
                atomic_file.write(path, new.text.encode())
    return status


def _find_files(paths: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for start in paths:
        listed = list_files_below(start, documents.EXTENSIONS) if start.is_dir() else [start]
        for path in listed:
            if path.suffix in documents.EXTENSIONS and path.is_file():
                content = read_input(path)
                if GROUP.encode() in content and (b"v1alpha1" in content or b"v1beta1" in content):
                    yield path, content
