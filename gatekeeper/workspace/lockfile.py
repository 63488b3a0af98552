"""`gatekeeper.lock`: the versions of libraries and external programs that a repository pins, and what it fetches.

A lock pins versions; Go's checksum database verifies programs that are built from source. A program from the PATH is
used only if the lock has its checksum for this platform. Charts, artifacts and files from elsewhere are pinned by the
digest of their bytes. Each writer changes its own part of the lock, and keeps what it does not know.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper import __version__
from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.host.toolchain import BUILT_IN_TOOLS, PINNED_TOOLS, TOOLS, Tool, Toolchain
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sources.model import DIGEST, NO_SOURCES, LockedSources, SourcePin

LOCK_FILE = "gatekeeper.lock"
SCHEMA = "gatekeeper/lock/v1"
VERSION_PATTERN = compile_lazily(r"v[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?")
PLATFORM = f"{sys.platform}-{os.uname().machine.lower()}"
RECOVERY_HINT = "remove it, and write a new one with `gatekeeper tools lock`"


class Lock(NamedTuple):
    """What a lock pins: the external programs, and the sources."""

    tools: Toolchain = Toolchain()
    sources: LockedSources = NO_SOURCES


EMPTY_LOCK = Lock()


class _MalformedLockError(Exception):
    """The strict reader refuses the lock."""


def load(root: Path, *, is_rewritten: bool = False) -> Lock:
    """The lock of a repository; the tools of this package and no sources if it has none.

    Args:
        is_rewritten: the lock will be written again, so versions that this package does not have are replaced.

    Raises:
        UsageError: the lock cannot be read, is malformed, or pins another kustomize or Helm than that of this package.
    """
    path = root / LOCK_FILE
    try:
        content = read_regular_file(path)
    except FileNotFoundError:
        return EMPTY_LOCK
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}; {RECOVERY_HINT}") from error
    return parse(content, str(path), is_rewritten=is_rewritten)


def load_sources(root: Path) -> LockedSources:
    """The sources that the lock of an earlier commit pins; none if that lock is malformed, which nobody can mend."""
    try:
        return load(root, is_rewritten=True).sources
    except UsageError:
        return NO_SOURCES


def parse(content: bytes, file: str, *, is_rewritten: bool = False) -> Lock:
    """What the text of a lock pins.

    Args:
        file: the name of the lock in messages.
        is_rewritten: see `load`.

    Raises:
        UsageError: the lock is malformed, or pins another kustomize or Helm than that of this package.
    """
    try:
        value = _parse_object(content)
        _check_duplicate_keys(content, file)
        pins = {name: _parse_tool(name, entry) for name, entry in value["tools"].items()}
        sources = _parse_sources(value)
    except _MalformedLockError as error:
        # Slow to load, and a lock without an error does not need it.
        from gatekeeper.workspace import config_schemas

        explanation = config_schemas.explain("lock", content, file) or f"{file}: {error}"
        raise UsageError(f"{explanation}\nCorrect it; or {RECOVERY_HINT}") from error
    others = [name for name in BUILT_IN_TOOLS if name in pins and pins[name].version != TOOLS[name].version]
    if others and not is_rewritten:
        pinned, own = (" and ".join(f"{name} {tools[name].version}" for name in others) for tools in (pins, TOOLS))
        reason = f"pins {pinned}, but Gatekeeper {__version__} contains {own}"
        raise UsageError(f"{file}: {reason}; run `gatekeeper tools lock` to accept it")
    return Lock(Toolchain(pins | {name: TOOLS[name] for name in others}), sources)


def write_tools(root: Path, tools: Toolchain, program_digests: dict[str, str]) -> Path:
    """Writes the tools: versions, and checksums of this platform's programs in addition to those already in the lock.

    Args:
        tools: the versions to pin.
        program_digests: SHA-256 of the programs of this machine, by tool.

    Raises:
        UsageError: the present lock is malformed.
    """
    value = _read_object(root)
    previous = value["tools"]
    entries: dict[str, Any] = {}
    for name, tool in TOOLS.items():
        # Programs of this package have the version of their source.
        if tool.source_folder or name not in {*PINNED_TOOLS, *program_digests, *previous}:
            continue
        before = previous.get(name, {})
        version = tools.get_tool(name).version
        sums = {
            platform: sorted(known)
            for platform, known in before.get("sums", {}).items()
            if before.get("version") == version
        }
        if name in program_digests:
            sums[PLATFORM] = sorted({*sums.get(PLATFORM, ()), program_digests[name]})
        entries[name] = {"package": tool.package, "version": version, "sums": dict(sorted(sums.items()))}
    return _write_object(root, {**value, "tools": entries})


def write_sources(root: Path, pins: Mapping[str, SourcePin]) -> Path:
    """Writes the sources, sorted by their keys; an entry that stays keeps the fields that this version does not know.

    Raises:
        UsageError: the present lock is malformed.
    """
    value = _read_object(root)
    previous = value.get("sources", {})
    entries = {}
    for key, pin in sorted(pins.items()):
        before = previous.get(key, {})
        is_same = {name: before.get(name) for name in pin.encode()} == pin.encode()
        entries[key] = before | pin.encode() if is_same else pin.encode()
    return _write_object(root, {**value, "sources": entries})


def _read_object(root: Path) -> dict[str, Any]:
    """The present lock, or an empty one.

    Raises:
        UsageError: it is malformed.
    """
    load(root, is_rewritten=True)
    path = root / LOCK_FILE
    return _parse_object(path.read_bytes()) if path.exists() else {"schema": SCHEMA, "gatekeeper": "", "tools": {}}


def _write_object(root: Path, value: dict[str, Any]) -> Path:
    # Slow to load, and few runs write a lock.
    import orjson

    path = root / LOCK_FILE
    text = orjson.dumps({**value, "schema": SCHEMA, "gatekeeper": __version__}, option=orjson.OPT_INDENT_2)
    atomic_file.write(path, text + b"\n")
    return path


def _parse_object(content: bytes) -> dict[str, Any]:
    # Slow to load: a repository without a lock does without it.
    import orjson

    try:
        value = orjson.loads(content)
    except ValueError as error:
        raise _MalformedLockError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not isinstance(value.get("tools"), dict):
        raise _MalformedLockError(f"not a lock of {SCHEMA}")
    return value


def _check_duplicate_keys(content: bytes, file: str) -> None:
    """Refuses a duplicate key: of its two values, JSON readers take one or the other.

    Raises:
        UsageError: the lock has a duplicate key.
    """
    found: list[str] = []
    json.loads(content, object_pairs_hook=lambda pairs: found.extend(_find_duplicates(pairs)))
    if not found:
        return
    # Slow to load: a lock without a fault does without it.
    from gatekeeper.workspace import documents

    parsed, _ = documents.parse(content)
    for key, line, column, first in parsed[0].duplicates if parsed else ():
        raise UsageError(f"{file}:{line}:{column}: duplicate key `{key}`, first in line {first}; remove one")
    raise UsageError(f"{file}: duplicate key `{found[0]}`; remove one")


def _find_duplicates(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    return [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def _parse_sources(value: dict[str, Any]) -> LockedSources:
    entries = value.get("sources")
    if "sources" not in value:
        return NO_SOURCES
    if not isinstance(entries, dict):
        raise _MalformedLockError("`sources` is not a mapping")
    return LockedSources({key: _parse_pin(key, entry) for key, entry in entries.items()}, is_locked=True)


def _parse_pin(key: str, entry: Any) -> SourcePin:
    fields = entry if isinstance(entry, dict) else {}
    texts = {name: fields.get(name, "") for name in ("version", "url", "digest", "manifest")}
    size = fields.get("size", 0)
    digests = [texts["digest"], *([texts["manifest"]] if "manifest" in fields else [])]
    if not all(isinstance(text, str) for text in texts.values()) or not all(map(DIGEST.fullmatch, digests)):
        raise _MalformedLockError(f"`{key}` needs a digest: `sha256:` and 64 hexadecimal digits")
    if isinstance(size, bool) or not isinstance(size, int | float) or size != int(size):
        raise _MalformedLockError(f"the size of `{key}` is no number of bytes")
    return SourcePin(**texts, size=int(size))


def _parse_tool(name: str, entry: Any) -> Tool:
    own = TOOLS.get(name)
    # A lock chooses a version; which program that is a version of, this package decides.
    if own is None or own.source_folder or not isinstance(entry, dict) or entry.get("package") != own.package:
        raise _MalformedLockError(f"`{name}` is not a tool that can be pinned")
    version, sums = entry.get("version"), entry.get("sums")
    if not isinstance(version, str) or not VERSION_PATTERN.fullmatch(version) or not isinstance(sums, dict):
        raise _MalformedLockError(f"`{name}` needs a version such as {own.version}, and sums by platform")
    for known in sums.values():
        if not isinstance(known, list) or not all(isinstance(digest, str) for digest in known):
            raise _MalformedLockError(f"the sums of `{name}` must be lists of strings")
    return own._replace(version=version, checksums=tuple(sums.get(PLATFORM, ())))
