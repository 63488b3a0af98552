"""`gatekeeper sops`: runs the real sops over many files in parallel, without plaintext on the disk."""

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
from gatekeeper.errors import GatekeeperError, SecretFileError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import plaintext_history, sops_cli, sops_file
from gatekeeper.terminal.object_io import read_input
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace.tree import list_files_below

EXAMPLES = """examples:
  gatekeeper sops encrypt apps/db/secret.enc.yaml apps/web/.env
  gatekeeper sops encrypt secret.yaml -- --age age1qy… --encrypted-regex '^(data|stringData)$'
  gatekeeper sops decrypt apps/db/secret.enc.yaml | kubectl apply -f -
  gatekeeper sops edit apps/db/secret.enc.yaml
  printf %s "$PASSWORD" | gatekeeper sops set apps/db/secret.enc.yaml stringData.password
  gatekeeper sops updatekeys .              after a change of .sops.yaml, for all files below
  gatekeeper sops rotate clusters/prod      a new data key for each file

The nearest .sops.yaml above each file applies, as for `gatekeeper check`. The command changes files in place,
atomically; `decrypt` prints to standard output. Arguments after `--` go to sops, for example recipients in any KMS.
Exit status: 0 done, 1 a file failed (the others are done), 2 wrong usage, 3 sops is not installed.
"""
ACTIONS = ("encrypt", "decrypt", "edit", "set", "unset", "rotate", "updatekeys")
PROGRESS_DELAY_SECONDS = 2.0

FileAction = Callable[[Path], str]


def sops(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: options conflict, or a file cannot be read.
        SecretFileError: a file cannot be encrypted or decrypted.
    """
    split = arguments.index("--") if "--" in arguments else len(arguments)
    own_arguments, sops_arguments = arguments[:split], arguments[split + 1 :]
    args = build_parser().parse_intermixed_args(own_arguments)
    if args.action in ("set", "unset"):
        return _change_value(args, sops_arguments)
    if args.action == "edit":
        return _edit_files(args, sops_arguments)
    if args.action == "decrypt":
        return _decrypt_files(args, sops_arguments)
    paths = args.paths if args.action == "encrypt" else list(find_sops_files(args.paths))

    def encrypt(path: Path) -> str:
        plain = SecretBytes(read_input(path))
        if sops_file.is_sops_file(path.name, plain.reveal()):
            if args.replace:
                plaintext_history.replace_in_index(path, path)
            return f"unchanged  {path}"
        atomic_file.write(path, sops_cli.encrypt(plain, sops_cli.resolve_target(path, sops_arguments, args.timeout)))
        if args.replace:
            plaintext_history.replace_in_index(path, path)
        return f"encrypted  {path}"

    def change(path: Path) -> str:
        before = read_input(path)
        after = sops_cli.change_file(args.action, before, sops_cli.resolve_target(path, sops_arguments, args.timeout))
        if before == after:
            return f"unchanged  {path}"
        atomic_file.write(path, after)
        return f"{'rotated' if args.action == 'rotate' else 'updated':<10} {path}"

    if args.action != "encrypt":
        return _run_each(paths, change, args.jobs)
    status = _run_each(paths, encrypt, args.jobs)
    for warning in plaintext_history.find_warnings(paths):
        sys.stderr.write(f"warning: {warning}\n")
    return status


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = create_parser(
        "sops", "Encrypt, decrypt and change SOPS files with the sops binary, many in parallel.", EXAMPLES
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders except for `encrypt`")
    parser.add_argument("--replace", action="store_true", help="`encrypt`: add the encrypted file to Git's index")
    parser.add_argument("--json", action="store_true", help="`set`: parse the value as JSON")
    parser.add_argument(
        "--from-file", type=Path, metavar="FILE", help="`set`: file with the value (default: standard input)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2 * (os.cpu_count() or 1),
        metavar="N",
        help="number of parallel sops processes (default: 2 per core)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=sops_cli.TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="time limit per file (default 60)",
    )
    return parser


def find_sops_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Returns the SOPS files among the given files and below the given folders, each once.

    Raises:
        UsageError: a file is not a SOPS file, or no SOPS file was found.
    """
    seen: dict[Path, None] = {}
    for start in paths:
        if not start.is_dir():
            if not sops_file.is_sops_file(start.name, read_input(start)):
                raise UsageError(f"{start}: not encrypted with sops")
            seen[start] = None
            continue
        seen.update((path, None) for path in list_files_below(start) if _is_sops_file(path))
    if not seen:
        raise UsageError(f"{', '.join(map(str, paths))}: no SOPS file found")
    yield from seen


def _is_sops_file(path: Path) -> bool:
    if path.is_symlink():
        return False
    content = path.read_bytes()
    return sops_file.is_candidate(content) and sops_file.is_sops_file(path.name, content)


def _run_each(paths: Sequence[Path], action: FileAction, jobs: int) -> int:
    """Runs an action on each file, several in parallel, and prints the results in order."""
    if jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    began, status = time.monotonic(), 0
    DEFAULT_TOOLCHAIN.find("sops")

    def attempt(path: Path) -> str | GatekeeperError:
        try:
            return action(path)
        except GatekeeperError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        for number, outcome in enumerate(pool.map(attempt, paths), 1):
            if isinstance(outcome, GatekeeperError):
                status = max(status, outcome.exit_code)
                outcome = f"FAILED     {outcome}"
            _print_progress(number, len(paths), began)
            sys.stdout.write(f"{outcome}\n")
    return status


def _print_progress(completed: int, total: int, started: float) -> None:
    """Prints progress on a terminal once the run takes longer than two seconds."""
    if sys.stderr.isatty() and not sys.stdout.isatty() and time.monotonic() - started > PROGRESS_DELAY_SECONDS:
        sys.stderr.write(f"\r\033[K{completed} of {total}" + ("\n" if completed == total else ""))
        sys.stderr.flush()


def _decrypt_files(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    paths = list(find_sops_files(args.paths))
    formats = {sops_file.detect_format(path.name) for path in paths}
    if len(paths) > 1 and formats != {"yaml"}:
        raise UsageError("sops decrypt: can print several files only if all are YAML; name one file")

    def decrypt(path: Path) -> SecretBytes:
        return sops_cli.decrypt(read_input(path), sops_cli.resolve_target(path, sops_arguments, args.timeout))

    with ThreadPoolExecutor(max(args.jobs, 1)) as pool:
        # Decrypt all before printing the first: a partial list is worse than none.
        texts = list(pool.map(decrypt, paths))
    between = b""
    for text in texts:
        sys.stdout.buffer.write(between + text.reveal())
        between = b"---\n"
    return 0


def _edit_files(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    for path in args.paths:
        before = read_input(path) if path.exists() else b""
        if not sops_file.is_sops_file(path.name, before):
            raise SecretFileError(f"{path}: not encrypted with sops; run `gatekeeper sops encrypt` first")
        after = sops_cli.edit_file(before, sops_cli.resolve_target(path, sops_arguments))
        if after != before:
            atomic_file.write(path, after)
        sys.stdout.write(f"{'unchanged' if after == before else 'edited   '}  {path}\n")
    return 0


def _change_value(args: argparse.Namespace, sops_arguments: Sequence[str]) -> int:
    """Sets or removes one value: `gatekeeper sops set FILE FIELD`."""
    if len(args.paths) != 2:
        raise UsageError(f"sops {args.action}: needs one FILE and one FIELD, such as `stringData.password`")
    file, field = args.paths[0], str(args.paths[1])
    steps = model.parse_path(field)
    if not steps or model.format_path(steps).replace('"', "") != field.replace('"', ""):
        raise UsageError(
            f"sops {args.action}: invalid field `{field}`; use a path such as `stringData.password` or `list[0].name`"
        )
    index = "".join(f"[{orjson.dumps(step).decode()}]" for step in steps)
    value = None
    if args.action == "set":
        value = SecretBytes(read_input(args.from_file))
        if not args.json:
            value = SecretBytes(orjson.dumps(_decode_text(value)))
    before = read_input(file)
    if not sops_file.is_sops_file(file.name, before):
        raise SecretFileError(f"{file}: not encrypted with sops; run `gatekeeper sops encrypt` first")
    target = sops_cli.resolve_target(file, sops_arguments, args.timeout)
    after = sops_cli.change_file(args.action, before, target, index, value)
    atomic_file.write(file, after)
    sys.stdout.write(f"{'unchanged' if after == before else args.action}  {file} {field}\n")
    return 0


def _decode_text(value: SecretBytes) -> str:
    try:
        return value.reveal().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SecretFileError(f"the value is not UTF-8 text (byte {error.start}); encode it in base64 first") from None
