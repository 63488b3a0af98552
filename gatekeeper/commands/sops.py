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
from gatekeeper.host import toolchain
from gatekeeper.secret_value import Hidden
from gatekeeper.sops import plaintext_history, sops_cli, sops_file
from gatekeeper.terminal.object_io import read

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
QUIET_SECONDS = 2.0

Work = Callable[[Path], str]


def sops(arguments: list[str]) -> int:
    """Runs the command."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    own, more = arguments[:split], arguments[split + 1 :]
    given = parser().parse_intermixed_args(own)
    if given.action in ("set", "unset"):
        return _value(given, more)
    if given.action == "edit":
        return _edit(given, more)
    if given.action == "decrypt":
        return _decrypt(given, more)
    paths = given.paths if given.action == "encrypt" else list(found(given.paths))

    def encrypt(path: Path) -> str:
        plain = Hidden(read(path))
        if sops_file.is_sops(path.name, plain.reveal()):
            if given.replace:
                plaintext_history.replace(path, path)
            return f"as it is   {path}"
        writing.write(path, sops_cli.encrypt(plain, sops_cli.place(path), more, given.timeout))
        if given.replace:
            plaintext_history.replace(path, path)
        return f"encrypted  {path}"

    def change(path: Path) -> str:
        before = read(path)
        after = sops_cli.changed(given.action, before, sops_cli.place(path), more, given.timeout)
        if before == after:
            return f"as it is   {path}"
        writing.write(path, after)
        return f"{'rotated' if given.action == 'rotate' else 'updated':<10} {path}"

    if given.action != "encrypt":
        return _each(paths, change, given.jobs)
    status = _each(paths, encrypt, given.jobs)
    plaintext_history.warn(paths)
    return status


def parser() -> argparse.ArgumentParser:
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
        "--timeout", type=float, default=sops_cli.SECONDS, metavar="SECONDS", help="for each file (default 60)"
    )
    return options


def found(paths: Sequence[Path]) -> Iterator[Path]:
    """The SOPS files among files and below folders, each once.

    Raises:
        UsageError: a file is none, or there is none at all.
    """
    seen: dict[Path, None] = {}
    for start in paths:
        if not start.is_dir():
            if not sops_file.is_sops(start.name, read(start)):
                raise UsageError(f"{start}: is not encrypted with sops")
            seen[start] = None
            continue
        inside = (path for path in sorted(start.rglob("*")) if ".git" not in path.parts)
        seen.update((path, None) for path in inside if _is_one(path))
    if not seen:
        raise UsageError(f"{', '.join(map(str, paths))}: no SOPS file there")
    yield from seen


def _is_one(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    content = path.read_bytes()
    return sops_file.may_be_one(content) and sops_file.is_sops(path.name, content)


def _each(paths: Sequence[Path], work: Work, jobs: int) -> int:
    """Does the same with each file, several at once, and tells of each in order."""
    if jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    began, status = time.monotonic(), 0
    toolchain.find("sops")

    def tried(path: Path) -> str | GateError:
        try:
            return work(path)
        except GateError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        for number, outcome in enumerate(pool.map(tried, paths), 1):
            if isinstance(outcome, GateError):
                status = max(status, outcome.exit_code)
                outcome = f"FAILED     {outcome}"
            _say(number, len(paths), began)
            sys.stdout.write(f"{outcome}\n")
    return status


def _say(done: int, of: int, began: float) -> None:
    """How far it is, on a terminal, once it takes longer than a moment."""
    if sys.stderr.isatty() and not sys.stdout.isatty() and time.monotonic() - began > QUIET_SECONDS:
        sys.stderr.write(f"\r\033[K{done} of {of}" + ("\n" if done == of else ""))
        sys.stderr.flush()


def _decrypt(given: argparse.Namespace, more: Sequence[str]) -> int:
    paths = list(found(given.paths))
    form = {sops_file.format_of(path.name) for path in paths}
    if len(paths) > 1 and form != {"yaml"}:
        raise UsageError("sops decrypt: prints several files only where all are YAML; name one")

    def opened(path: Path) -> Hidden:
        return sops_cli.decrypt(read(path), sops_cli.place(path), more, given.timeout)

    with ThreadPoolExecutor(max(given.jobs, 1)) as pool:
        # All are opened before the first is printed: half of a list is worse than none.
        texts = list(pool.map(opened, paths))
    between = b""
    for text in texts:
        sys.stdout.buffer.write(between + text.reveal())
        between = b"---\n"
    return 0


def _edit(given: argparse.Namespace, more: Sequence[str]) -> int:
    for path in given.paths:
        before = read(path) if path.exists() else b""
        if not sops_file.is_sops(path.name, before):
            raise SealError(f"{path}: is not encrypted with sops; `gatekeeper sops encrypt` it first")
        after = sops_cli.edited(before, sops_cli.place(path), more)
        if after != before:
            writing.write(path, after)
        sys.stdout.write(f"{'as it is ' if after == before else 'edited   '}  {path}\n")
    return 0


def _value(given: argparse.Namespace, more: Sequence[str]) -> int:
    """Sets or removes one value: `gatekeeper sops set FILE FIELD`."""
    if len(given.paths) != 2:
        raise UsageError(f"sops {given.action}: give one FILE and one FIELD, such as `stringData.password`")
    file, field = given.paths[0], str(given.paths[1])
    steps = model.undotted(field)
    if not steps or model.dotted(steps).replace('"', "") != field.replace('"', ""):
        raise UsageError(f"sops {given.action}: `{field}` is no field; write `stringData.password` or `list[0].name`")
    index = "".join(f"[{orjson.dumps(step).decode()}]" for step in steps)
    value = None
    if given.action == "set":
        value = Hidden(read(given.from_file))
        if not given.json:
            value = Hidden(orjson.dumps(_text(value)))
    before = read(file)
    if not sops_file.is_sops(file.name, before):
        raise SealError(f"{file}: is not encrypted with sops; `gatekeeper sops encrypt` it first")
    after = sops_cli.changed(given.action, before, sops_cli.place(file), more, given.timeout, index, value)
    writing.write(file, after)
    sys.stdout.write(f"{'as it is' if after == before else given.action}  {file} {field}\n")
    return 0


def _text(value: Hidden) -> str:
    try:
        return value.reveal().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"the value is no text (byte {error.start}); encode it in base64 first") from None
