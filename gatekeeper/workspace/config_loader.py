"""Reading of `gatekeeper.yaml`, strictly: an unknown or invalid setting is an error with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gatekeeper.config import CONFIG_FILE, Config
from gatekeeper.errors import UsageError
from gatekeeper.host import json_text
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.workspace import lockfile
from gatekeeper.workspace.lockfile import EMPTY_LOCK, Lock

# The place of each setting in the file: section, key, the field above, and its type.
SETTINGS: tuple[tuple[str, str, str, type], ...] = (
    ("", "kubernetes", "kubernetes", str),
    ("", "engine", "engine", str),
    ("opa", "url", "opa_url", str),
    ("policies", "paths", "policies", list),
    ("policies", "namespaces", "namespaces", list),
    ("policies", "clusterOnly", "cluster_only", list),
    ("policies", "terraform", "terraform", list),
    ("policies", "data", "data", list),
    ("policies", "bundles", "bundles", tuple),
    ("policies", "builtins", "builtins", list),
    ("policies", "timeout", "policy_timeout", float),
    ("policies", "mutate", "mutate", str),
    ("library", "profile", "library", str),
    ("library", "disable", "disable", list),
    ("library", "enable", "enable", list),
    ("library", "severity", "severity", dict),
    ("schemas", "crds", "crds", list),
    ("schemas", "locations", "schema_locations", list),
    ("schemas", "allowMissing", "allow_missing", list),
    ("files", "exclude", "exclude", list),
    ("leaks", "rules", "leak_rules", list),
    ("leaks", "allow", "leak_allow", list),
    ("references", "allow", "references", list),
    ("secrets", "allow", "secrets_allow", tuple),
    ("waivers", "file", "waivers", str),
    ("waivers", "baseline", "baseline", str),
    ("waivers", "maxDays", "waiver_days", float),
    ("render", "timeout", "timeout", float),
    ("charts", "severity", "chart_severity", str),
)


ALLOWED_VALUES = {
    "engine": ("embedded", "opa"),
    "mutate": ("note", "apply"),
    "library": ("off", "default", "strict"),
    "chart_severity": ("error", "warning", "info"),
}


# Seconds or days: more than one wants to wait, and less than what clocks and calendars can count.
MAX_NUMBER = 1_000_000
SEVERITIES = ("error", "warning", "info")


# The fields of settings that are lists of mappings.
ENTRY_FIELDS = {"bundles": ("source", "digest", "key"), "secrets_allow": ("namespace", "store", "key")}


class _RefusedError(Exception):
    """The strict reader refuses the file."""


def find_root(path: Path) -> Path:
    """The nearest folder above that has a `gatekeeper.yaml` or a `.git`; else the path itself."""
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if (folder / CONFIG_FILE).is_file() or (folder / ".git").exists():
            return folder
    return start


def load(root: Path, config_file: Path | None, lock: Lock | None = None) -> Config:
    """The settings of a repository, or the defaults if it has no `gatekeeper.yaml`.

    Args:
        config_file: read this file instead of the repository's own.
        lock: use this instead of `gatekeeper.lock`.

    Raises:
        UsageError: `gatekeeper.yaml` or `gatekeeper.lock` cannot be read or is malformed.
    """
    lock = lockfile.load(root) if lock is None else lock
    file = config_file or root / CONFIG_FILE
    if config_file is None and not os.path.lexists(file):
        return Config(toolchain=lock.tools, sources=lock.sources)
    try:
        # A file that the user names can be a pipe of the shell.
        text = file.read_bytes() if config_file else read_regular_file(file)
        text.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        raise UsageError(f"{file}: cannot be read: {reason}; name a readable file with --config") from error
    return parse(text, str(file), lock)


def parse(text: bytes, file: str, lock: Lock = EMPTY_LOCK) -> Config:
    """The settings in the text of a file.

    Args:
        file: the name of the file in messages.

    Raises:
        UsageError: the text is not YAML, or has a setting that is unknown or not valid; each is named with its place.
    """
    # Slow to load, and most repositories without settings do not need it.
    from gatekeeper.workspace import documents

    parsed, failure = documents.parse(text)
    if failure is not None:
        raise UsageError(f"{file}:{failure[1]}:{failure[2]}: not valid YAML: {failure[0]}")
    for other in parsed[1:]:
        if documents.to_value(other) is not None:
            _, line, column = other.locate(())
            raise UsageError(f"{file}:{line}:{column}: a second document; write all settings into the first one")
    value = json_text.decode(parsed[0].json) if parsed else None
    try:
        settings = _build_config(value if value is not None else {})
        return settings._replace(toolchain=lock.tools, sources=lock.sources)
    except _RefusedError as error:
        # Imported here: the JSON Schemas are needed only to explain an error.
        from gatekeeper.workspace import config_schemas

        raise UsageError(config_schemas.explain("gatekeeper", text, file) or f"{file}: {error}") from error


def _build_config(value: Any) -> Config:
    """The settings of a parsed file. What this accepts, the JSON Schema of the file accepts, and nothing else."""
    if not isinstance(value, dict):
        raise _RefusedError('must be a mapping of settings, such as `kubernetes: "1.34"`')
    _reject_unknown(value)
    chosen: dict[str, Any] = {}
    for section, key, name, kind in SETTINGS:
        part = value.get(section) if section else value
        if isinstance(part, dict) and key in part:
            chosen[name] = _convert_setting(part[key], kind, name)
    config = Config(**chosen)
    for name, allowed in ALLOWED_VALUES.items():
        if getattr(config, name) not in allowed:
            raise _RefusedError(f"`{name}` is {getattr(config, name)!r}; it can be {' or '.join(allowed)}")
    return config


def _reject_unknown(value: dict[Any, Any]) -> None:
    known: dict[str, set[str]] = {}
    for section, key, _, _ in SETTINGS:
        known.setdefault(section or key, set()).update({key} if section else set())
    for name, part in value.items():
        if name not in known or (known[name] and not (isinstance(part, dict) and part.keys() <= known[name])):
            raise _RefusedError(f"`{name}` is unknown, or has an unknown setting")


def _convert_setting(value: Any, expected_type: type, name: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected_type is list and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if expected_type is str and (isinstance(value, str) or is_number):
        return str(value)
    if expected_type is float and is_number and 0 < value <= MAX_NUMBER:
        return float(value)
    if expected_type is dict and isinstance(value, dict) and all(item in SEVERITIES for item in value.values()):
        return value
    if expected_type is tuple and isinstance(value, list) and all(_is_entry(item, name) for item in value):
        return tuple({key: str(text) for key, text in item.items()} for item in value)
    raise _RefusedError(f"`{name}` is not valid")


def _is_entry(value: Any, name: str) -> bool:
    """Whether a value is an entry of a setting that is a list of mappings."""
    return (
        isinstance(value, dict)
        and value.keys() <= set(ENTRY_FIELDS[name])
        and all(isinstance(text, str | int | float) for text in value.values())
    )
