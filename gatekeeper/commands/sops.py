"""`gatekeeper sops`: the real sops over many files at once, with nothing in the clear on the disk."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from gatekeeper import model
from gatekeeper.errors import GateError, SealError, UsageError
from gatekeeper.host import atomic_file as writing
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import plaintext_history, sops_cli, sops_file
from gatekeeper.terminal.object_io import read_input

EXAMPLES = """examples:
  gatekeeper sops encrypt apps/db/secret.enc.yaml apps/web/.env
  gatekeeper sops encrypt secret.yaml -- --age age1qy… --encrypted-regex '^(data|stringData)$'
  gatekeeper sops decrypt apps/db/secret.enc.yaml | kubectl apply -f -
  gatekeeper sops edit apps/db/secret.enc.yaml
  printf %s "$PASSWORD" | gatekeeper sops set apps/db/secret.enc.yaml stringData.password
  gatekeeper sops updatekeys .              after a change of .sops.yaml, all files below
  gatekeeper sops rotate clusters/prod      a new data key for each file

Of each file the nearest .sops.yaml above it counts, as for `gatekeeper check`. Files are changed in place, each whole
or not at all; `decrypt` prints. What stands behind `--` is handed to sops: recipients in any KMS, for one.
Exit status: 0 done, 1 a file could not be done (the others are), 2 wrong usage, 3 sops is not there.
"""
ACTIONS = ("encrypt", "decrypt", "edit", "set", "unset", "rotate", "updatekeys")
PROGRESS_DELAY_SECONDS = 2.0

FileAction = Callable[[Path], str]


def sops(arguments: list[str]) -> int:
    """Runs the command."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    own, more = arguments[:split], arguments[split + 1 :]
    given = build_parser().parse_intermixed_args(own)
    if given.action in ("set", "unset"):
        return _change_value(given, more)
    if given.action == "edit":
        return _edit_files(given, more)
    if given.action == "decrypt":
        return _decrypt_files(given, more)
    paths = given.paths if given.action == "encrypt" else list(find_sops_files(given.paths))

    def encrypt(path: Path) -> str:
        plain = SecretBytes(read_input(path))
        if sops_file.is_sops_file(path.name, plain.reveal()):
            if given.replace:
                plaintext_history.replace_in_index(path, path)
            return f"as it is   {path}"
        writing.write(path, sops_cli.encrypt(plain, sops_cli.resolve_target(path, more, given.timeout)))
        if given.replace:
            plaintext_history.replace_in_index(path, path)
        return f"encrypted  {path}"

    def change(path: Path) -> str:
        before = read_input(path)
        after = sops_cli.change_file(given.action, before, sops_cli.resolve_target(path, more, given.timeout))
        if before == after:
            return f"as it is   {path}"
        writing.write(path, after)
        return f"{'rotated' if given.action == 'rotate' else 'updated':<10} {path}"

    if given.action != "encrypt":
        return _run_each(paths, change, given.jobs)
    status = _run_each(paths, encrypt, given.jobs)
    for warning in plaintext_history.find_warnings(paths):
        sys.stderr.write(f"warning: {warning}\n")
    return status


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="gatekeeper sops",
        description="Encrypt, open and change SOPS files with the real sops, many at once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=ACTIONS)
    options.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files; folders too, but for `encrypt`")
    options.add_argument("--replace", action="store_true", help="`encrypt`: put the encrypted file into Git's index")
    options.add_argument("--json", action="store_true", help="`set`: the value is JSON, and no text")
    options.add_argument("--from-file", type=Path, metavar="FILE", help="`set`: the value; default: standard input")
    options.add_argument(
        "--jobs", type=int, default=2 * (os.cpu_count() or 1), metavar="N", help="at once (default: 2 a core)"
    )
    options.add_argument(
        "--timeout", type=float, default=sops_cli.TIMEOUT_SECONDS, metavar="SECONDS", help="for each file (default 60)"
    )
    return options


def find_sops_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The SOPS files among files and below folders, each once.

    Raises:
        UsageError: a file is none, or there is none at all.
    """
    seen: dict[Path, None] = {}
    for start in paths:
        if not start.is_dir():
            if not sops_file.is_sops_file(start.name, read_input(start)):
                raise UsageError(f"{start}: is not encrypted with sops")
            seen[start] = None
            continue
        inside = (path for path in sorted(start.rglob("*")) if ".git" not in path.parts)
        seen.update((path, None) for path in inside if _is_sops_file(path))
    if not seen:
        raise UsageError(f"{', '.join(map(str, paths))}: no SOPS file there")
    yield from seen


def _is_sops_file(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    content = path.read_bytes()
    return sops_file.is_candidate(content) and sops_file.is_sops_file(path.name, content)


def _run_each(paths: Sequence[Path], action: FileAction, jobs: int) -> int:
    """Does the same with each file, several at once, and tells of each in order."""
    if jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    began, status = time.monotonic(), 0
    DEFAULT_TOOLCHAIN.find("sops")

    def tried(path: Path) -> str | GateError:
        try:
            return action(path)
        except GateError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        for number, outcome in enumerate(pool.map(tried, paths), 1):
            if isinstance(outcome, GateError):
                status = max(status, outcome.exit_code)
                outcome = f"FAILED     {outcome}"
            _print_progress(number, len(paths), began)
            sys.stdout.write(f"{outcome}\n")
    return status


def _print_progress(completed: int, total: int, started: float) -> None:
    """How far it is, on a terminal, once it takes longer than a moment."""
    if sys.stderr.isatty() and not sys.stdout.isatty() and time.monotonic() - started > PROGRESS_DELAY_SECONDS:
        sys.stderr.write(f"\r\033[K{completed} of {total}" + ("\n" if completed == total else ""))
        sys.stderr.flush()


def _decrypt_files(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    paths = list(find_sops_files(args.paths))
    form = {sops_file.detect_format(path.name) for path in paths}
    if len(paths) > 1 and form != {"yaml"}:
        raise UsageError("sops decrypt: prints several files only where all are YAML; name one")

    def opened(path: Path) -> SecretBytes:
        return sops_cli.decrypt(read_input(path), sops_cli.resolve_target(path, sops_arguments, args.timeout))

    with ThreadPoolExecutor(max(args.jobs, 1)) as pool:
        # All are opened before the first is printed: half of a list is worse than none.
        texts = list(pool.map(opened, paths))
    between = b""
    for text in texts:
        sys.stdout.buffer.write(between + text.reveal())
        between = b"---\n"
    return 0


def _edit_files(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    for path in args.paths:
        before = read_input(path) if path.exists() else b""
        if not sops_file.is_sops_file(path.name, before):
            raise SealError(f"{path}: is not encrypted with sops; `gatekeeper sops encrypt` it first")
        after = sops_cli.edit_file(before, sops_cli.resolve_target(path, sops_arguments))
        if after != before:
            writing.write(path, after)
        sys.stdout.write(f"{'as it is ' if after == before else 'edited   '}  {path}\n")
    return 0


def _change_value(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    """Sets or removes one value: `gatekeeper sops set FILE FIELD`."""
    if len(args.paths) != 2:
        raise UsageError(f"sops {args.action}: give one FILE and one FIELD, such as `stringData.password`")
    file, field = args.paths[0], str(args.paths[1])
    steps = model.parse_path(field)
    if not steps or model.format_path(steps).replace('"', "") != field.replace('"', ""):
        raise UsageError(f"sops {args.action}: `{field}` is no field; write `stringData.password` or `list[0].name`")
    index = "".join(f"[{orjson.dumps(step).decode()}]" for step in steps)
    value = None
    if args.action == "set":
        value = SecretBytes(read_input(args.from_file))
        if not args.json:
            value = SecretBytes(orjson.dumps(_decode_text(value)))
    before = read_input(file)
    if not sops_file.is_sops_file(file.name, before):
        raise SealError(f"{file}: is not encrypted with sops; `gatekeeper sops encrypt` it first")
    target = sops_cli.resolve_target(file, sops_arguments, args.timeout)
    after = sops_cli.change_file(args.action, before, target, index, value)
    writing.write(file, after)
    sys.stdout.write(f"{'as it is' if after == before else args.action}  {file} {field}\n")
    return 0


def _decode_text(value: SecretBytes) -> str:
    try:
        return value.reveal().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"the value is no text (byte {error.start}); encode it in base64 first") from None
