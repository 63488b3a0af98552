"""`gatekeeper audit`: verifies the audit log of the controller and prints its entries."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from gatekeeper.controller.runtime import audit_log as log
from gatekeeper.errors import UsageError
from gatekeeper.terminal.options import create_parser

EXAMPLES = """examples:
  gatekeeper audit verify audit.jsonl
  gatekeeper audit verify audit.jsonl --head 12:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  kubectl -n gatekeeper-gitops get lease gatekeeper -o jsonpath='{.metadata.annotations}'     the head
  gatekeeper audit show audit.jsonl --object flux-system/apps

`gatekeeper controller run --audit FILE` writes the log: one JSON line before each action and one for its result, each
with the digest of the line before it. An annotation of the controller's Lease holds the head: the number of the last
entry and its digest. With --head, `verify` also detects a log that was truncated or replaced as a whole.
Exit status: 0 the log is unchanged, 1 it was changed, 2 wrong usage.
"""


def audit(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the log cannot be read, or --head is malformed.
    """
    args = _build_parser().parse_args(arguments)
    try:
        return _verify_log(args) if args.what == "verify" else _show_log(args)
    except OSError as error:
        raise UsageError(f"{args.file}: cannot be read: {error.strerror}") from None


def _verify_log(args: argparse.Namespace) -> int:
    count, fault = log.verify_chain(log.read_lines(args.file), _parse_head(args.head))
    if fault is not None:
        sys.stdout.write(f"{args.file}:{fault.line}: {fault.reason}\n{count} entries before it are unchanged\n")
        return 1
    sys.stdout.write(f"{args.file}: {count} entries, all unchanged\n")
    return 0


def _parse_head(text: str) -> log.AuditHead | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdigit() or len(digest) != len(log.GENESIS_DIGEST):
        raise UsageError(f"--head {text}: use NUMBER:DIGEST, as in the annotation of the Lease")
    return log.AuditHead(int(number), digest)


def _show_log(args: argparse.Namespace) -> int:
    for number, line in enumerate(log.read_lines(args.file), 1):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise UsageError(f"{args.file}:{number}: not JSON; run `gatekeeper audit verify`") from None
        if args.object in ("", entry.get("object")):
            changes = entry.get("changes") or ()
            line_start = f"{entry.get('time')} {entry.get('step'):<7} {entry.get('object')} {entry.get('revision')}"
            sys.stdout.write(f"{line_start} {entry.get('reason')}: {len(changes)} changes\n")
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = create_parser("audit", "Verify the audit log of the controller, or print its entries.", EXAMPLES)
    parser.add_argument("what", choices=("verify", "show"))
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--head", default="", metavar="NUMBER:DIGEST", help="expected number and digest of the last entry"
    )
    parser.add_argument("--object", default="", metavar="NAMESPACE/NAME", help="with show: entries of one object only")
    return parser
