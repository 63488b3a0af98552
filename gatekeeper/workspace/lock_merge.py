"""Conflicts that a merge of two branches left in `gatekeeper.lock`: sources of both sides are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file
from gatekeeper.workspace import lockfile

# Source: git-merge(1), "How conflicts are presented".
OURS, BASE, SEPARATOR, THEIRS = "<<<<<<< ", "||||||| ", "=======", ">>>>>>> "


def split_sides(text: str) -> tuple[str, str] | None:
    """The two versions of a file with conflict markers; None if it has none, or if they are not in order."""
    ours, theirs = list[str](), list[str]()
    side = ""
    found = False
    for line in text.splitlines(keepends=True):
        mark = next((mark for mark in (OURS, BASE, SEPARATOR, THEIRS) if line.rstrip("\n").startswith(mark)), None)
        if mark is None:
            ours.extend([line] if side in ("", OURS) else [])
            theirs.extend([line] if side in ("", SEPARATOR) else [])
            continue
        if (side, mark) not in {("", OURS), (OURS, BASE), (OURS, SEPARATOR), (BASE, SEPARATOR), (SEPARATOR, THEIRS)}:
            return None
        side, found = "" if mark == THEIRS else mark, True
    return ("".join(ours), "".join(theirs)) if found and not side else None


def resolve_conflicts(root: Path) -> list[str]:
    """Resolves the conflicts in the sources of a lock, and returns the keys that both sides pin to something else.

    Those are dropped, to be fetched again: neither side is known to be right.

    Raises:
        UsageError: the sides differ in another part, or one of them is malformed.
    """
    path = root / lockfile.LOCK_FILE
    try:
        sides = split_sides(path.read_text("utf-8", "replace"))
    except OSError:
        # Who reads the lock next says why it cannot be read.
        return []
    if sides is None:
        return []
    ours, theirs = (_parse_side(side, path, name) for side, name in zip(sides, ("ours", "theirs"), strict=True))
    for key in sorted((ours.keys() | theirs.keys()) - {"sources", "gatekeeper"}):
        if ours.get(key) != theirs.get(key):
            raise UsageError(f"{path}: both sides of the merge changed `{key}`; resolve that conflict by hand")
    first, second = ours.get("sources", {}), theirs.get("sources", {})
    differing = sorted(key for key in first.keys() & second.keys() if first[key] != second[key])
    merged = {key: entry for key, entry in sorted((first | second).items()) if key not in differing}
    atomic_file.write(path, orjson.dumps({**ours, "sources": merged}, option=orjson.OPT_INDENT_2) + b"\n")
    return differing


def _parse_side(text: str, path: Path, name: str) -> dict[str, Any]:
    lockfile.parse(text.encode(), f"{path} ({name})", is_rewritten=True)
    value: dict[str, Any] = orjson.loads(text)
    return value
