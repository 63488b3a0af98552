"""`gatekeeper audit`: whether a log of changes is as it was written, and what is in it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from gatekeeper.controller.runtime import audit_log as log
from gatekeeper.errors import UsageError

EXAMPLES = """examples:
  gatekeeper audit verify audit.jsonl
  gatekeeper audit verify audit.jsonl --head 12:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  kubectl -n gatekeeper-gitops get lease gatekeeper -o jsonpath='{.metadata.annotations}'     the head
  gatekeeper audit show audit.jsonl --object flux-system/apps

The log is what `gatekeeper controller run --audit FILE` writes: a line of JSON for each thing that it is about to do,
and for what came of it, with a digest of the line before. The Lease of the controller has the head: the last number
and its digest. With it a log that was cut off, or written anew as a whole, is found out, too.
Exit status: 0 the log is as it was written, 1 it is not, 2 wrong usage.
"""


def audit(arguments: list[str]) -> int:
    """Runs the command."""
    given = _build_parser().parse_args(arguments)
    try:
        return _verify_log(given) if given.what == "verify" else _show_log(given)
    except OSError as error:
        raise UsageError(f"{given.file}: cannot be read: {error.strerror}") from None


def _verify_log(args: argparse.Namespace) -> int:
    count, found = log.verify_chain(log.read_lines(args.file), _parse_head(args.head))
    if found is not None:
        sys.stdout.write(f"{args.file}:{found.line}: {found.reason}\n{count} entries before it are as written\n")
        return 1
    sys.stdout.write(f"{args.file}: {count} entries, all as written\n")
    return 0


def _parse_head(text: str) -> log.AuditHead | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdigit() or len(digest) != len(log.GENESIS_DIGEST):
        raise UsageError(f"--head {text}: write NUMBER:DIGEST, as the Lease has it")
    return log.AuditHead(int(number), digest)


def _show_log(args: argparse.Namespace) -> int:
    for number, line in enumerate(log.read_lines(args.file), 1):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise UsageError(f"{args.file}:{number}: is no JSON: see `gatekeeper audit verify`") from None
        if args.object in ("", entry.get("object")):
            changes = entry.get("changes") or ()
            told = f"{entry.get('time')} {entry.get('step'):<7} {entry.get('object')} {entry.get('revision')}"
            sys.stdout.write(f"{told} {entry.get('reason')}: {len(changes)} changes\n")
    return 0


def _build_parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper audit",
        description="Tell whether a log of changes is as it was written, or what is in it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("what", choices=("verify", "show"))
    options.add_argument("file", type=Path, metavar="FILE")
    options.add_argument("--head", default="", metavar="NUMBER:DIGEST", help="the last entry that there must be")
    options.add_argument("--object", default="", metavar="NAMESPACE/NAME", help="with show: of one object")
    return options
