"""What is asked: the library's rules that a config chooses, and the repository's own, with all that they need."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.engines.rego import library, loader
from gatekeeper.engines.rego.loader import Module, PolicySet
from gatekeeper.errors import PolicyError
from gatekeeper.model import TERRAFORM, Severity


class Asked(NamedTuple):
    """One rule as it is asked: name in reports, severity, remedy, and the kinds that it judges (none: all of them)."""

    name: str
    severity: Severity
    hint: str
    kinds: tuple[str, ...]
    module: Module


class Plan(NamedTuple):
    """All rules of a run, by query, and what the engine must load for them.

    Attributes:
        exceptions: what asks for a package's exceptions, by package.
    """

    asked: dict[str, Asked]
    policies: PolicySet
    exceptions: Mapping[str, str] = MappingProxyType({})

    @property
    def queries(self) -> tuple[str, ...]:
        """Everything that may be asked."""
        return (*self.asked, *self.exceptions.values())


def plan(config: Config, own: PolicySet) -> Plan:
    """The library's rules that the config chooses, and the repository's own."""
    asked: dict[str, Asked] = {}
    sets = [own]
    if config.library != "off" or config.enable:
        found, everything = library.rules()
        chosen = library.chosen(found, config.library, config.enable, config.disable)
        modules = {rule.module.path for rule in chosen}
        helpers = (module for module in everything.modules if not module.path.endswith("/rule.rego"))
        kept = (*helpers, *(module for module in everything.modules if module.path in modules))
        sets += [PolicySet(kept, everything.data), facts(config)]
        for rule in chosen:
            severity = config.severity.get(rule.name, rule.severity)
            asked[rule.query] = Asked(rule.name, _severity(severity), rule.remedy, rule.kinds, rule.module)
    judging = [module for module in own.modules if not config.namespaces or module.package in config.namespaces]
    for module in judging:
        for query in module.queries():
            name = query.rpartition(".")[2]
            severity = loader.SEVERITY[name.split("_")[0]]
            kinds = (TERRAFORM,) if is_for_terraform(module.package, config) else ()
            asked[query] = Asked(f"{module.package}/{name}", _severity(severity), "", kinds, module)
    exceptions = {module.package: module.exception for module in judging if module.exception}
    return Plan(asked, loader.joined(sets), exceptions)


def is_for_terraform(package: str, config: Config) -> bool:
    """Whether the rules of a package judge Terraform, and nothing else: by its name, or by a name that it is below."""
    return any(package == name or package.startswith(f"{name}.") for name in config.terraform)


def facts(config: Config) -> PolicySet:
    """What rules may ask about the cluster: `data.gatekeeper.kubernetes`, its version."""
    return PolicySet((), {"gatekeeper": {"kubernetes": config.kubernetes}})


def _severity(word: str) -> Severity:
    if word not in ("error", "warning", "info"):
        raise PolicyError(f"a severity is `error`, `warning` or `info`, not {word!r}")
    return word  # type: ignore[return-value]
