"""The settings of a repository, as `gatekeeper.yaml` has them; `workspace/config_loader.py` reads that file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.model import Severity
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sources.model import NO_SOURCES, LockedSources

CONFIG_FILE = "gatekeeper.yaml"
# The folder with the certificates that a repository seals its secrets with.
CERTIFICATE_FOLDER = "keys"
DEFAULT_KUBERNETES_VERSION = "1.34"


class Config(NamedTuple):
    """All settings, with their defaults. Folders are relative to the repository's root.

    Attributes:
        chart_severity: of an error in a chart from elsewhere that no value of the repository sets.
        toolchain: the external programs, at the versions that `gatekeeper.lock` pins.
        sources: the charts, artifacts and files from elsewhere that it pins.
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
    schema_locations: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    leak_rules: tuple[str, ...] = ()
    leak_allow: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    secrets_allow: tuple[Mapping[str, str], ...] = ()
    waivers: str = "waivers.yaml"
    baseline: str = "gatekeeper-baseline.json"
    waiver_days: float = 365.0
    chart_severity: Severity = "warning"
    timeout: float = 60.0
    policy_timeout: float = 5.0
    builtins: tuple[str, ...] = ()
    mutate: str = "note"
    toolchain: Toolchain = DEFAULT_TOOLCHAIN
    sources: LockedSources = NO_SOURCES

    @property
    def is_mutation_applied(self) -> bool:
        """Whether Kyverno's mutating rules change objects before they are validated."""
        return self.mutate == "apply"


def anchor_paths(config: Config, root: Path) -> Config:
    """The same settings for a copy of a repository in another folder: paths out of it lead where they led before."""

    def anchor(path: str) -> str:
        prefix, place = ("git+", path.removeprefix("git+")) if path.startswith("git+") else ("", path)
        return f"{prefix}{root / place}" if place.startswith("../") else path

    return config._replace(
        policies=tuple(map(anchor, config.policies)),
        data=tuple(map(anchor, config.data)),
        crds=tuple(map(anchor, config.crds)),
        schema_locations=tuple(map(anchor, config.schema_locations)),
        leak_rules=tuple(map(anchor, config.leak_rules)),
        bundles=tuple({key: anchor(value) for key, value in bundle.items()} for bundle in config.bundles),
    )


def find_location_folder(location: str) -> str:
    """The file or folder of an entry of `schemas.locations`: what comes before its first template field."""
    before, opening, _ = location.partition("{{")
    return before.rpartition("/")[0] if opening else before


def list_schema_paths(config: Config) -> list[str]:
    """The files and folders with schemas that the config names."""
    return [*config.crds, *map(find_location_folder, config.schema_locations)]
