"""The rules that come with the product: `policies/<category>/<rule>/rule.rego`, one folder each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gatekeeper.engines.rego.loader import Module, PolicySet, load
from gatekeeper.errors import UsageError

PACKAGED = Path(__file__).parent.parent.parent / "policies"
PROFILES = {"off": (), "default": ("default",), "strict": ("default", "strict")}


class Rule(NamedTuple):
    """One rule of the library, as its METADATA block describes it."""

    name: str
    module: Module
    title: str
    reason: str
    severity: str
    profile: str
    kinds: tuple[str, ...]
    remedy: str
    standards: tuple[str, ...]

    @property
    def query(self) -> str:
        """What the engine is asked."""
        return f"data.{self.module.package}.deny"


def folder() -> Path:
    """The folder of the library."""
    return PACKAGED


def rules(tests: bool = False) -> tuple[list[Rule], PolicySet]:
    """All rules of the library, by name, and the modules and data that they need."""
    loaded = load(folder(), ["."], ["lib"], tests=tests)
    everything = loaded._replace(modules=tuple(module._replace(is_shipped=True) for module in loaded.modules))
    found = [_rule(module) for module in everything.modules if Path(module.path).name == "rule.rego"]
    return sorted(found, key=lambda rule: rule.name), everything


def apis() -> dict[tuple[str, str], str]:
    """What to write instead of each API version that is gone or will go, by (apiVersion, kind)."""
    listed = load(folder(), [], ["lib/apis.yaml"]).data["gatekeeper"]["apis"]
    return {(version, kind): entry["use"] for version, kinds in listed.items() for kind, entry in kinds.items()}


def links() -> dict[str, str]:
    """Where each standard can be read, by the beginning of its name."""
    listed: dict[str, str] = load(folder(), [], ["standards.yaml"]).data
    return listed


def link(standard: str, known: Mapping[str, str]) -> str:
    """Where a standard can be read; empty where that is not known."""
    begins = [name for name in known if standard.startswith(name)]
    return known[max(begins, key=len)] if begins else ""


def chosen(found: Sequence[Rule], profile: str, enable: Sequence[str], disable: Sequence[str]) -> list[Rule]:
    """The rules that judge: those of the profile, more and fewer as the config says.

    Raises:
        UsageError: the config names a rule that does not exist.
    """
    names = {rule.name for rule in found}
    for name in (*enable, *disable):
        if name not in names and name not in {rule.name.split("/")[0] for rule in found}:
            raise UsageError(f"gatekeeper.yaml: no rule `{name}` in the library; `gatekeeper policy list` shows them")

    def named(rule: Rule, wanted: Sequence[str]) -> bool:
        return rule.name in wanted or rule.name.split("/")[0] in wanted

    return [
        rule
        for rule in found
        if (rule.profile in PROFILES[profile] or named(rule, enable)) and not named(rule, disable)
    ]


def _rule(module: Module) -> Rule:
    about = module.metadata
    custom = about.get("custom", {})
    return Rule(
        name="/".join(Path(module.path).parts[-3:-1]),
        module=module,
        title=about["title"],
        reason=about["description"].strip(),
        severity=custom["severity"],
        profile=custom["profile"],
        kinds=tuple(custom.get("kinds", ())),
        remedy=custom["remedy"],
        standards=tuple(custom.get("standards", ())),
    )
