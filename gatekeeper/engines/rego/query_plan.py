"""What is asked: the library's rules that a config chooses, and the repository's own, with all that they need."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.engines.rego import library, loader
from gatekeeper.engines.rego.loader import PolicySet, RegoModule
from gatekeeper.errors import PolicyError
from gatekeeper.model import TERRAFORM_KIND, Severity


class RuleQuery(NamedTuple):
    """One rule as it is asked: name in reports, severity, remedy, and the kinds that it judges (none: all of them)."""

    name: str
    severity: Severity
    hint: str
    kinds: tuple[str, ...]
    module: RegoModule


class QueryPlan(NamedTuple):
    """All rules of a run, by query, and what the engine must load for them.

    Attributes:
        exception_queries: what asks for a package's exceptions, by package.
    """

    rules: dict[str, RuleQuery]
    policies: PolicySet
    exception_queries: Mapping[str, str] = MappingProxyType({})

    @property
    def queries(self) -> tuple[str, ...]:
        """Everything that may be asked."""
        return (*self.rules, *self.exception_queries.values())


def build_plan(config: Config, repository_policies: PolicySet) -> QueryPlan:
    """The library's rules that the config chooses, and the repository's own."""
    asked: dict[str, RuleQuery] = {}
    sets = [repository_policies]
    if config.library != "off" or config.enable:
        found, everything = library.load_rules()
        chosen = library.select_rules(found, config.library, config.enable, config.disable)
        modules = {rule.module.path for rule in chosen}
        helpers = (module for module in everything.modules if not module.path.endswith("/rule.rego"))
        kept = (*helpers, *(module for module in everything.modules if module.path in modules))
        sets += [PolicySet(kept, everything.data), build_cluster_data(config)]
        for rule in chosen:
            severity = config.severity.get(rule.name, rule.severity)
            asked[rule.query] = RuleQuery(rule.name, _parse_severity(severity), rule.remedy, rule.kinds, rule.module)
    judging = [
        module for module in repository_policies.modules if not config.namespaces or module.package in config.namespaces
    ]
    for module in judging:
        for query in module.list_queries():
            name = query.rpartition(".")[2]
            severity = loader.SEVERITY_BY_PREFIX[name.split("_")[0]]
            kinds = (TERRAFORM_KIND,) if is_for_terraform(module.package, config) else ()
            asked[query] = RuleQuery(f"{module.package}/{name}", _parse_severity(severity), "", kinds, module)
    exceptions = {module.package: module.exception_query for module in judging if module.exception_query}
    return QueryPlan(asked, loader.merge_policy_sets(sets), exceptions)


def is_for_terraform(package: str, config: Config) -> bool:
    """Whether the rules of a package judge Terraform, and nothing else: by its name, or by a name that it is below."""
    return any(package == name or package.startswith(f"{name}.") for name in config.terraform)


def build_cluster_data(config: Config) -> PolicySet:
    """What rules may ask about the cluster: `data.gatekeeper.kubernetes`, its version."""
    return PolicySet((), {"gatekeeper": {"kubernetes": config.kubernetes}})


def _parse_severity(severity: str) -> Severity:
    if severity not in ("error", "warning", "info"):
        raise PolicyError(f"a severity is `error`, `warning` or `info`, not {severity!r}")
    return severity  # type: ignore[return-value]
