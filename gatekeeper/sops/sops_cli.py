"""Calls of the sops binary: plaintext goes in and out through pipes only, and a file is replaced atomically.

The error output of sops can repeat a line of the plaintext, so it is never shown. Its exit status and a few known
phrases are translated. Source: getsops/sops `cmd/sops/codes/codes.go`, `cmd/sops/main.go`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

from gatekeeper.errors import SecretFileError, ToolError
from gatekeeper.host import process
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import creation_rules, sops_errors

TIMEOUT_SECONDS = 60.0
EXIT_UNCHANGED = 200
# Without garbage collection sops needs a fifth less time for a small file; the limit protects against large ones.
GO_RUNTIME_ENV = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
# A file system in memory: the plaintext file that an editor needs is never written to a disk.
MEMORY_DIR = Path("/dev/shm")


class NoDecryptionKeyError(SecretFileError):
    """No available key decrypts a file; the file itself may be valid."""


class SopsKeys(NamedTuple):
    """Private keys that decrypt SOPS files.

    Attributes:
        age: age keys, one per line.
        gnupg_home: a GnuPG home folder with PGP keys; empty for none.
    """

    age: SecretBytes
    gnupg_home: str = ""


class SopsTarget(NamedTuple):
    """A file, and how sops is called for it.

    Attributes:
        config_file: the `.sops.yaml` that applies to the file; None if there is none.
        arguments: further options for sops, such as recipients.
        timeout_seconds: the time limit of each call.
        toolchain: provides the sops binary.
    """

    file: Path
    config_file: Path | None
    arguments: Sequence[str] = ()
    timeout_seconds: float = TIMEOUT_SECONDS
    toolchain: Toolchain = DEFAULT_TOOLCHAIN

    @property
    def root(self) -> Path:
        """The folder that sops takes the file's path from."""
        return self.config_file.parent if self.config_file else self.file.parent


def resolve_target(
    file: Path,
    arguments: Sequence[str] = (),
    timeout_seconds: float = TIMEOUT_SECONDS,
    toolchain: Toolchain = DEFAULT_TOOLCHAIN,
) -> SopsTarget:
    """Return the target for a file, with the nearest `.sops.yaml` above it that has rules.

    Args: see `SopsTarget`.
    """
    path = file.absolute().parent.resolve() / file.name
    return SopsTarget(path, _find_config_file(path.parent), arguments, timeout_seconds, toolchain)


@cache
def _find_config_file(start: Path) -> Path | None:
    config = creation_rules.find_nearest_config((f"{folder}/" for folder in (start, *start.parents)), _read_config)
    return Path(config.file) if config else None


def _read_config(name: str) -> creation_rules.SopsConfig | None:
    try:
        return creation_rules.parse_config(name, Path(name).read_bytes())
    except OSError:
        return None


def encrypt(plaintext: SecretBytes, target: SopsTarget) -> bytes:
    """Encrypt a plaintext by the creation rule for its file.

    Raises:
        SecretFileError: sops refused; the message says what to do.
        ToolError: sops is not installed, or took too long.
    """
    command = _build_command(target, "encrypt", "--filename-override", target.file, *target.arguments)
    return _run_sops(command, target, plaintext.reveal())


def decrypt(content: bytes, target: SopsTarget) -> SecretBytes:
    """Decrypt the content of a file; its MAC is checked.

    Raises:
        NoDecryptionKeyError: no available key decrypts it.
        SecretFileError: sops refused; the message says what to do.
        ToolError: sops is not installed, or took too long.
    """
    command = _build_command(target, "decrypt", "--filename-override", target.file, *target.arguments)
    return SecretBytes(_run_sops(command, target, content))


def change_file(
    action: str, content: bytes, target: SopsTarget, index: str = "", value: SecretBytes | None = None
) -> bytes:
    """Return the content of an encrypted file after `rotate`, `updatekeys`, `set` or `unset`.

    sops changes a file in place, so it gets a copy of the encrypted file.

    Args:
        index: for `set` and `unset`: the field, in the syntax of sops.
        value: for `set`: the value, as JSON.

    Raises:
        NoDecryptionKeyError: no available key decrypts it.
        SecretFileError: sops refused; the message says what to do.
        ToolError: sops is not installed, or took too long.
    """
    if action == "rotate":
        # Unlike the other actions, this one prints the result and leaves the file unchanged.
        return _run_sops(_build_command(target, "rotate", *target.arguments, target.file), target, b"")
    options = {"updatekeys": ["--yes"], "set": ["--value-stdin"]}.get(action, [])
    with _copy_target(content, target) as copy:
        command = _build_command(copy, action, *options, *target.arguments, copy.file, *([index] if index else []))
        _run_sops(command, target, value.reveal() if value else b"")
        return copy.file.read_bytes()


def edit_file(content: bytes, target: SopsTarget) -> bytes:
    """Return the content of an encrypted file after the user has edited it; the editor's file is kept in memory.

    Raises:
        NoDecryptionKeyError: no available key decrypts it.
        SecretFileError: sops refused; the message says what to do.
        ToolError: sops is not installed, or this machine has no file system in memory.
    """
    if not os.access(MEMORY_DIR, os.W_OK):
        reason = f"{MEMORY_DIR} is not available, so the plaintext would be written to a disk"
        raise ToolError(f"{reason}; use `gatekeeper sops set`")
    # Only an editor needs it.
    import tempfile

    with (
        _copy_target(content, target) as copy,
        tempfile.TemporaryDirectory(dir=MEMORY_DIR) as memory,
        _interrupt_on_termination(),
    ):
        # Editors write backup copies next to the file, or into these folders.
        folders = {"TMPDIR": memory, "TMP": memory, "TEMP": memory}
        command = _build_command(copy, "edit", *target.arguments, copy.file)
        code = process.run_interactive(command, {**os.environ, **folders})
        if code not in (0, EXIT_UNCHANGED):
            raise SecretFileError(f"{target.file}: {sops_errors.format_reason(code, '', target.file)}")
        return copy.file.read_bytes()


def decrypt_with_keys(
    content: bytes, name: str, keys: SopsKeys, timeout_seconds: float, toolchain: Toolchain = DEFAULT_TOOLCHAIN
) -> SecretBytes:
    """Decrypt an encrypted JSON object with the given keys and no others; its MAC is not checked.

    Args:
        name: the object, for messages.
        toolchain: provides the sops binary.

    Raises:
        NoDecryptionKeyError: no key decrypts it.
        SecretFileError: sops refused; the message says what to do.
        ToolError: sops is not installed, or took too long.
    """
    command: list[str | Path] = [toolchain.find("sops"), "--disable-version-check", "decrypt", "--ignore-mac"]
    command += ["--input-type", "json", "--output-type", "json", "/dev/stdin"]
    # The user's own keys and cloud credentials must not decrypt it.
    environment = {**GO_RUNTIME_ENV, "SOPS_AGE_KEY": keys.age.reveal().decode("ascii", "replace")}
    environment |= {"HOME": "/nonexistent", "GNUPGHOME": keys.gnupg_home or "/nonexistent"}
    code, stdout, stderr = process.run_command(
        command, timeout_seconds, stdin=content, environment=environment, advice="look at the file"
    )
    if code == sops_errors.EXIT_NO_KEY:
        raise NoDecryptionKeyError(f"{name}: no key that the Kustomization names decrypts it")
    if code != 0:
        raise SecretFileError(f"{name}: {sops_errors.format_reason(code, stderr, Path('object.json'))}")
    return SecretBytes(stdout)


def _build_command(target: SopsTarget, action: str, *arguments: str | Path) -> list[str | Path]:
    config: list[str | Path] = ["--config", target.config_file] if target.config_file else []
    return [target.toolchain.find("sops"), "--disable-version-check", *config, action, *arguments]


def _run_sops(command: list[str | Path], target: SopsTarget, stdin: bytes) -> bytes:
    # The user's whole environment is passed on: it leads to keys, agents and cloud credentials.
    environment = {**GO_RUNTIME_ENV, **os.environ}
    code, stdout, stderr = process.run_command(
        command,
        target.timeout_seconds,
        target.root,
        stdin,
        environment,
        allow_network=True,
        advice="raise --timeout",
    )
    if code not in (0, EXIT_UNCHANGED):
        error_type = NoDecryptionKeyError if code == sops_errors.EXIT_NO_KEY else SecretFileError
        raise error_type(f"{target.file}: {sops_errors.format_reason(code, stderr, target.file)}")
    return stdout


@contextmanager
def _copy_target(content: bytes, target: SopsTarget) -> Iterator[SopsTarget]:
    """Copy an encrypted file and its `.sops.yaml` into a temporary folder, under the same relative path."""
    # It loads all libraries of compression, and few runs start sops.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-sops-") as scratch:
        root = Path(scratch).resolve()
        file = root / target.file.relative_to(target.root)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        config = None
        if target.config_file:
            config = root / creation_rules.CONFIG_NAME
            config.write_bytes(target.config_file.read_bytes())
        yield target._replace(file=file, config_file=config)


@contextmanager
def _interrupt_on_termination() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that plaintext is removed before the process ends."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
