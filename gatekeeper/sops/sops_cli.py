"""The real sops: plain text goes in and out through pipes only, and a file is replaced whole or not at all.

What sops says of a failure is never passed on as it is: it can repeat a line of the plain text. Its exit status and a
few known phrases are put in other words. Source: getsops/sops `cmd/sops/codes/codes.go`, `cmd/sops/main.go`.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from gatekeeper.errors import SealError, ToolError
from gatekeeper.host import process
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import creation_rules, recipients, sops_file

TIMEOUT_SECONDS = 60.0
EXIT_NO_KEY, EXIT_UNCHANGED = 128, 200
# sops ends before a collection of garbage pays: a fifth less time for a small file, and a limit for large ones.
GO_RUNTIME_ENV = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
# Memory that looks like a disk: what an editor needs as a file is never written to a real one.
MEMORY_DIR = Path("/dev/shm")
LINE_PATTERN = re.compile(r"\bline (\d+)")

EXIT_REASONS: Mapping[int, str] = {
    2: "sops cannot read it as {form}: mend it, or give it the ending of what it is",
    5: "its `.sops.yaml` cannot be used: mend it (`gatekeeper check` tells where)",
    7: "sops sets a text, a number or a mapping, and no list; use `gatekeeper sops edit`",
    21: "its MAC cannot be encrypted",
    23: "holds a value that sops cannot encrypt",
    24: "its MAC cannot be decrypted: `mac` or `lastmodified` was changed since it was encrypted",
    25: "a value cannot be decrypted: it was changed, moved to another key, or put in the clear since it was encrypted",
    49: "its keys cannot be changed: it has no SOPS metadata",
    51: "was changed since it was encrypted: its MAC does not fit; take it from Git's history",
    52: "has no MAC: it was edited since it was encrypted; take it from Git's history",
    61: "there is no `.sops.yaml` above it; add one, or name recipients behind `--`",
    91: "there is no such place in it",
    92: "holds nothing to encrypt",
    111: "no recipient is named for it: add a rule to `.sops.yaml`, or name recipients behind `--`",
    201: "there is no editor: set EDITOR",
    203: "is encrypted already",
}
DATA_KEY_REASON = (
    "its data key cannot be encrypted for one of its recipients: correct its name, import the PGP key, or sign in "
    "where its KMS is"
)
# What sops says with exit status 1 and others, and what that means.
KNOWN_PHRASES: tuple[tuple[str, str], ...] = (
    ("no matching creation rules found", "no rule in its `.sops.yaml` is for it: add one with a `path_regex`"),
    ("config file not found, or has no creation rules", EXIT_REASONS[61]),
    ("unknown type: uint64", "holds a number above 9223372036854775807, which sops cannot encrypt: quote it"),
    ("can not compile regexp", "a `path_regex` in its `.sops.yaml` is no regular expression"),
    ("cannot use more than one of", "its rule in `.sops.yaml` has two selectors; keep one"),
    ("sops metadata not found", "is not encrypted with sops"),
    ('No such file or directory: "gpg"', "GnuPG is not installed, and the file is encrypted for a PGP key"),
    ("flag provided but not defined", "sops has no such option as stands behind `--`"),
    ("empty key group provided", EXIT_REASONS[111]),
    ("failed to encrypt new data key", DATA_KEY_REASON),
    ("malformed recipient", "a recipient of age is misspelt"),
    ("unknown recipient type", "a recipient of age is misspelt"),
    ("invalid dotenv input line", "sops cannot read it as dotenv: every line must be KEY=value or a comment"),
    ("cannot use complex value", "holds lists or mappings, which files of this kind cannot have"),
)


class NoDecryptionKeyError(SealError):
    """None of the keys at hand opens a file; nothing is said of the file itself."""


class SopsTarget(NamedTuple):
    """A file on disk, the `.sops.yaml` that counts for it, and which sops is run on it."""

    file: Path
    config_file: Path | None
    toolchain: Toolchain = DEFAULT_TOOLCHAIN

    @property
    def root(self) -> Path:
        """What sops takes the path from."""
        return self.config_file.parent if self.config_file else self.file.parent


def resolve_target(file: Path, toolchain: Toolchain = DEFAULT_TOOLCHAIN) -> SopsTarget:
    """A file with its `.sops.yaml`: the nearest one above it that has rules."""
    whole = file.absolute().parent.resolve() / file.name
    return SopsTarget(whole, _find_config_file(whole.parent), toolchain)


@cache
def _find_config_file(start: Path) -> Path | None:
    found = creation_rules.find_nearest_config((f"{folder}/" for folder in (start, *start.parents)), _read_config)
    return Path(found.file) if found else None


def _read_config(name: str) -> creation_rules.SopsConfig | None:
    try:
        return creation_rules.parse_config(name, Path(name).read_bytes())
    except OSError:
        return None


def encrypt(plaintext: SecretBytes, target: SopsTarget, arguments: Sequence[str], timeout_seconds: float) -> bytes:
    """A plain text, encrypted by the rule of its file.

    Args:
        arguments: more options of `sops encrypt`, such as recipients.

    Raises:
        SealError: sops refuses it; with what to do.
        ToolError: sops is not there, or took too long.
    """
    command = _build_command(target, "encrypt", "--filename-override", target.file, *arguments)
    return _run_sops(command, target, plaintext.reveal(), timeout_seconds)


def decrypt(content: bytes, target: SopsTarget, arguments: Sequence[str], timeout_seconds: float) -> SecretBytes:
    """What an encrypted text says; its MAC is checked.

    Raises:
        SealError, ToolError: see `encrypt`.
    """
    command = _build_command(target, "decrypt", "--filename-override", target.file, *arguments)
    return SecretBytes(_run_sops(command, target, content, timeout_seconds))


def change_file(
    action: str,
    content: bytes,
    target: SopsTarget,
    arguments: Sequence[str],
    timeout_seconds: float,
    index: str = "",
    value: SecretBytes | None = None,
) -> bytes:
    """An encrypted text after `rotate`, `updatekeys`, `set` or `unset`.

    sops changes these files in place; so it is given a copy of what is encrypted anyway.

    Args:
        index: `set`, `unset`: where, in sops' own form.
        value: `set`: what, in JSON.

    Raises:
        SealError, ToolError: see `encrypt`.
    """
    if action == "rotate":
        # This alone prints, if it is not told otherwise.
        return _run_sops(_build_command(target, "rotate", *arguments, target.file), target, b"", timeout_seconds)
    first = {"updatekeys": ["--yes"], "set": ["--value-stdin"]}.get(action, [])
    with _copy_target(content, target) as copy:
        command = _build_command(copy, action, *first, *arguments, copy.file, *([index] if index else []))
        _run_sops(command, target, value.reveal() if value else b"", timeout_seconds)
        return copy.file.read_bytes()


def edit_file(content: bytes, target: SopsTarget, arguments: Sequence[str]) -> bytes:
    """An encrypted text after its user has edited it; in the editor's file, which lies in memory, it is plain.

    Raises:
        SealError, ToolError: see `encrypt`; and where there is no memory that looks like a disk.
    """
    if not os.access(MEMORY_DIR, os.W_OK):
        reason = f"{MEMORY_DIR} is not there, so an editor's file would lie on the disk in the clear"
        raise ToolError(f"{reason}; use `gatekeeper sops set`")
    with (
        _copy_target(content, target) as copy,
        tempfile.TemporaryDirectory(dir=MEMORY_DIR) as memory,
        _interrupt_on_termination(),
    ):
        # Editors keep copies of their own beside the file, or where this says.
        own = {"TMPDIR": memory, "TMP": memory, "TEMP": memory}
        code = process.run_interactive(_build_command(copy, "edit", *arguments, copy.file), {**os.environ, **own})
        if code not in (0, EXIT_UNCHANGED):
            raise SealError(f"{target.file}: {_format_reason(code, '', target)}")
        return copy.file.read_bytes()


def decrypt_with_keys(
    content: bytes,
    keys: SecretBytes,
    name: str,
    timeout_seconds: float,
    keyring: str = "",
    toolchain: Toolchain = DEFAULT_TOOLCHAIN,
) -> SecretBytes:
    """What an encrypted text in JSON says, by some keys and nothing else; its MAC is not checked.

    Args:
        keys: of age, a line each.
        keyring: a folder of GnuPG's with keys of PGP; empty for none.
        name: of what it is, for people.

    Raises:
        SealError, ToolError: see `encrypt`.
    """
    command: list[str | Path] = [toolchain.find("sops"), "--disable-version-check", "decrypt", "--ignore-mac"]
    command += ["--input-type", "json", "--output-type", "json", "/dev/stdin"]
    # Nothing of the user's surroundings may open it instead, and no cloud is asked.
    surroundings = {**GO_RUNTIME_ENV, "SOPS_AGE_KEY": keys.reveal().decode("ascii", "replace"), "HOME": "/nonexistent"}
    surroundings |= {"GNUPGHOME": keyring or "/nonexistent"}
    code, out, words = process.run_command(
        command, timeout_seconds, stdin=content, environment=surroundings, advice="look at the file"
    )
    if code == EXIT_NO_KEY:
        raise NoDecryptionKeyError(f"{name}: none of the keys that the Kustomization names opens it")
    if code != 0:
        raise SealError(f"{name}: {_format_reason(code, words, SopsTarget(Path('object.json'), None))}")
    return SecretBytes(out)


def _build_command(target: SopsTarget, action: str, *arguments: str | Path) -> list[str | Path]:
    config: list[str | Path] = ["--config", target.config_file] if target.config_file else []
    return [target.toolchain.find("sops"), "--disable-version-check", *config, action, *arguments]


def _run_sops(command: list[str | Path], target: SopsTarget, stdin: bytes, timeout_seconds: float) -> bytes:
    # Keys, agents and the sign-in of a cloud are found by the user's whole environment.
    environment = {**GO_RUNTIME_ENV, **os.environ}
    code, out, words = process.run_command(
        command,
        timeout_seconds,
        target.root,
        stdin,
        environment,
        allow_network=True,
        advice="give it longer with --timeout",
    )
    if code not in (0, EXIT_UNCHANGED):
        kind = NoDecryptionKeyError if code == EXIT_NO_KEY else SealError
        raise kind(f"{target.file}: {_format_reason(code, words, target)}")
    return out


@contextmanager
def _copy_target(content: bytes, target: SopsTarget) -> Iterator[SopsTarget]:
    """A copy of an encrypted file under the same path, with its `.sops.yaml`; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-sops-") as scratch:
        root = Path(scratch).resolve()
        file = root / target.file.relative_to(target.root)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        config = None
        if target.config_file:
            config = root / creation_rules.CONFIG_NAME
            config.write_bytes(target.config_file.read_bytes())
        yield SopsTarget(file, config, target.toolchain)


@contextmanager
def _interrupt_on_termination() -> Iterator[None]:
    """While this lasts, being told to end is like Ctrl-C: what is plain is removed first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _format_reason(code: int, stderr: str, target: SopsTarget) -> str:
    """Why sops failed, in words that hold nothing of the file."""
    if code == EXIT_NO_KEY:
        return _format_no_key_reason(stderr, target)
    line = LINE_PATTERN.search(stderr) if code == 2 else None
    at_line = f" (line {line[1]})" if line else ""
    for phrase, meaning in KNOWN_PHRASES:
        if phrase in stderr:
            return f"{meaning}{at_line}"
    reason = EXIT_REASONS.get(code, f"sops failed with status {code}; run sops itself to see what it says")
    return reason.format(form=sops_file.detect_format(target.file.name)) + at_line


def _format_no_key_reason(stderr: str, target: SopsTarget) -> str:
    try:
        found = sops_file.parse_sops_file(target.file.name, target.file.read_bytes())
    except OSError:
        found = None
    names = sorted(
        {name for group in recipients.parse_metadata_groups((found and found.metadata) or {}) for name in group}
    )
    for_whom = f"; it is encrypted for {', '.join(name.replace(':', ' ', 1) for name in names)}" if names else ""
    how = "set SOPS_AGE_KEY_FILE, import the PGP key, or sign in where its KMS is"
    if any(name.startswith("pgp:") for name in names) and 'exec: "gpg"' in stderr:
        how = "GnuPG (`gpg`) is not installed"
    return f"none of the keys at hand opens it{for_whom}: {how}"
