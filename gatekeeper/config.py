"""`gatekeeper.yaml`: what the repository decides about its own gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gatekeeper.errors import UsageError
from gatekeeper.host import lockfile
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain

CONFIG_FILE = "gatekeeper.yaml"
# Where a repository has the certificates that seal its secrets.
CERTIFICATE_FOLDER = "keys"
DEFAULT_KUBERNETES_VERSION = "1.34"


class Config(NamedTuple):
    """All settings, with their defaults. Folders are relative to the repository's root.

    Attributes:
        toolchain: the outside programs, at the versions that `gatekeeper.lock` pins.
    """

    kubernetes: str = DEFAULT_KUBERNETES_VERSION
    engine: str = "embedded"
    opa_url: str = ""
    policies: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    cluster_only: tuple[str, ...] = ()
    library: str = "default"
    disable: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    severity: Mapping[str, str] = MappingProxyType({})
    terraform: tuple[str, ...] = ("terraform",)
    data: tuple[str, ...] = ()
    bundles: tuple[Mapping[str, str], ...] = ()
    crds: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    leak_rules: tuple[str, ...] = ()
    leak_allow: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    secrets_allow: tuple[Mapping[str, str], ...] = ()
    waivers: str = "waivers.yaml"
    baseline: str = "gatekeeper-baseline.json"
    waiver_days: float = 365.0
    timeout: float = 60.0
    policy_timeout: float = 5.0
    builtins: tuple[str, ...] = ()
    toolchain: Toolchain = DEFAULT_TOOLCHAIN


# Where each setting stands in the file: section, key, the field above, and the type it must have.
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
    ("library", "profile", "library", str),
    ("library", "disable", "disable", list),
    ("library", "enable", "enable", list),
    ("library", "severity", "severity", dict),
    ("schemas", "crds", "crds", list),
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
)
ALLOWED_VALUES = {
    "engine": ("embedded", "opa"),
    "library": ("off", "default", "strict"),
}


def find_root(path: Path) -> Path:
    """The nearest folder above that has a `gatekeeper.yaml` or a `.git`; else the path itself."""
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if (folder / CONFIG_FILE).is_file() or (folder / ".git").exists():
            return folder
    return start


def load(root: Path, config_file: Path | None, toolchain: Toolchain | None = None) -> Config:
    """The settings of a repository, or the defaults where it has no `gatekeeper.yaml`.

    Args:
        config_file: read this file instead of the repository's own.
        toolchain: use these programs instead of those that `gatekeeper.lock` pins.

    Raises:
        UsageError: `gatekeeper.yaml` or `gatekeeper.lock` cannot be read or is malformed.
    """
    tools = lockfile.load(root) if toolchain is None else toolchain
    file = config_file or root / CONFIG_FILE
    if config_file is None and not file.is_file():
        return Config(toolchain=tools)
    try:
        text = file.read_text(encoding="utf-8").encode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read ({error}); name a readable file with --config") from error
    return parse(text, str(file), tools)


def parse(text: bytes, file: str, toolchain: Toolchain = DEFAULT_TOOLCHAIN) -> Config:
    """The settings that the text of a file gives.

    Raises:
        UsageError: it says something it must not.
    """
    # Most of what is asked of the config in a hurry is about a repository that has none.
    from gatekeeper.workspace import documents

    found, failure = documents.parse(text)
    if failure is not None:
        raise UsageError(f"{file}:{failure[1]}:{failure[2]}: is no YAML: {failure[0]}")
    loaded = documents.to_value(found[0]) if found else None
    return _build_config(loaded if loaded is not None else {}, file)._replace(toolchain=toolchain)


def anchor_paths(config: Config, root: Path) -> Config:
    """The same settings for a copy of a repository that lies elsewhere: what leads out of it leads where it did."""

    def there(path: str) -> str:
        mark, place = ("git+", path.removeprefix("git+")) if path.startswith("git+") else ("", path)
        return f"{mark}{root / place}" if place.startswith("../") else path

    return config._replace(
        policies=tuple(map(there, config.policies)),
        data=tuple(map(there, config.data)),
        crds=tuple(map(there, config.crds)),
        leak_rules=tuple(map(there, config.leak_rules)),
        bundles=tuple({key: there(value) for key, value in bundle.items()} for bundle in config.bundles),
    )


def _build_config(value: Any, file: str) -> Config:
    if not isinstance(value, dict):
        raise UsageError(f'{file}: must be a mapping of settings, such as `kubernetes: "1.34"`')
    _reject_unknown(value, file)
    chosen: dict[str, Any] = {}
    for section, key, name, kind in SETTINGS:
        part = value.get(section) if section else value
        if isinstance(part, dict) and key in part:
            chosen[name] = _convert_setting(part[key], kind, f"{section}.{key}".lstrip("."), file)
    config = Config(**chosen)
    for name, allowed in ALLOWED_VALUES.items():
        if getattr(config, name) not in allowed:
            raise UsageError(f"{file}: `{name}` is {getattr(config, name)!r}; it can be {' or '.join(allowed)}")
    return config


def _reject_unknown(value: dict[Any, Any], file: str) -> None:
    known: dict[str, set[str]] = {}
    for section, key, _, _ in SETTINGS:
        known.setdefault(section or key, set()).update({key} if section else set())
    for name, part in value.items():
        if name not in known:
            raise UsageError(f"{file}: unknown setting `{name}`; known are {', '.join(sorted(known))}")
        if known[name]:
            if not isinstance(part, dict):
                raise UsageError(f"{file}: `{name}` must be a mapping with {', '.join(sorted(known[name]))}")
            for key in part.keys() - known[name]:
                raise UsageError(f"{file}: unknown setting `{name}.{key}`; known are {', '.join(sorted(known[name]))}")


def _convert_setting(value: Any, expected_type: type, name: str, file: str) -> Any:
    if expected_type is list and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if expected_type is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if expected_type is float and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    if expected_type is dict and isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    if expected_type is tuple and isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return tuple({str(key): str(held) for key, held in item.items()} for item in value)
    wanted = {
        list: "a list of texts",
        tuple: "a list of mappings",
        str: "a text",
        float: "a number above 0",
        dict: "a mapping",
    }[expected_type]
    raise UsageError(f"{file}: `{name}` must be {wanted}")
