"""The rules that come with the product: `policies/<category>/<rule>/rule.rego`, one folder each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gatekeeper.engines.rego.loader import PolicySet, RegoModule, load_policies
from gatekeeper.errors import UsageError

PACKAGED_FOLDER = Path(__file__).parent.parent.parent / "policies"
PROFILES = {"off": (), "default": ("default",), "strict": ("default", "strict")}


class LibraryRule(NamedTuple):
    """One rule of the library, as its METADATA block describes it."""

    name: str
    module: RegoModule
    title: str
    description: str
    severity: str
    profile: str
    kinds: tuple[str, ...]
    remedy: str
    standards: tuple[str, ...]

    @property
    def query(self) -> str:
        """What the engine is asked."""
        return f"data.{self.module.package}.deny"


def find_folder() -> Path:
    """The folder of the library."""
    return PACKAGED_FOLDER


def load_rules(include_tests: bool = False) -> tuple[list[LibraryRule], PolicySet]:
    """All rules of the library, by name, and the modules and data that they need."""
    loaded = load_policies(find_folder(), ["."], ["lib"], include_tests=include_tests)
    everything = loaded._replace(modules=tuple(module._replace(is_shipped=True) for module in loaded.modules))
    found = [_parse_rule(module) for module in everything.modules if Path(module.path).name == "rule.rego"]
    return sorted(found, key=lambda rule: rule.name), everything


def load_replacement_apis() -> dict[tuple[str, str], str]:
    """What to write instead of each API version that is gone or will go, by (apiVersion, kind)."""
    listed = load_policies(find_folder(), [], ["lib/apis.yaml"]).data["gatekeeper"]["apis"]
    return {(version, kind): entry["use"] for version, kinds in listed.items() for kind, entry in kinds.items()}


def load_standard_links() -> dict[str, str]:
    """Where each standard can be read, by the beginning of its name."""
    listed: dict[str, str] = load_policies(find_folder(), [], ["standards.yaml"]).data
    return listed


def find_standard_link(standard: str, links: Mapping[str, str]) -> str:
    """Where a standard can be read; empty where that is not known."""
    begins = [name for name in links if standard.startswith(name)]
    return links[max(begins, key=len)] if begins else ""


def select_rules(
    rules: Sequence[LibraryRule], profile: str, enable: Sequence[str], disable: Sequence[str]
) -> list[LibraryRule]:
    """The rules that judge: those of the profile, more and fewer as the config says.

    Raises:
        UsageError: the config names a rule that does not exist.
    """
    names = {rule.name for rule in rules}
    for name in (*enable, *disable):
        if name not in names and name not in {rule.name.split("/")[0] for rule in rules}:
            raise UsageError(f"gatekeeper.yaml: no rule `{name}` in the library; `gatekeeper policy list` shows them")

    def named(rule: LibraryRule, wanted: Sequence[str]) -> bool:
        return rule.name in wanted or rule.name.split("/")[0] in wanted

    return [
        rule
        for rule in rules
        if (rule.profile in PROFILES[profile] or named(rule, enable)) and not named(rule, disable)
    ]


def _parse_rule(module: RegoModule) -> LibraryRule:
    about = module.metadata
    custom = about.get("custom", {})
    return LibraryRule(
        name="/".join(Path(module.path).parts[-3:-1]),
        module=module,
        title=about["title"],
        description=about["description"].strip(),
        severity=custom["severity"],
        profile=custom["profile"],
        kinds=tuple(custom.get("kinds", ())),
        remedy=custom["remedy"],
        standards=tuple(custom.get("standards", ())),
    )
