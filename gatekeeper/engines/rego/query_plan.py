"""Selects the rules of a run: those of the library that the config selects, and the repository's own."""

from __future__ import annotations

from collections.abc import Collection

from gatekeeper.config import Config
from gatekeeper.engines.rego import library, loader
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RegoModule, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.host.cache import Cache
from gatekeeper.model import TERRAFORM_KIND, Severity


def build_plan(config: Config, repository_policies: PolicySet, cache: Cache | None = None) -> QueryPlan:
    """Builds the plan for a config and the policies of the repository.

    Args:
        cache: see `library.load_rules`.

    Raises:
        PolicyError: the config gives a rule an unknown severity.
        UsageError: the config names a library rule that does not exist.
    """
    rules: dict[str, RuleQuery] = {}
    sets = [repository_policies]
    if config.library != "off" or config.enable:
        library_rules, library_policies = library.load_rules(cache=cache)
        selected = library.select_rules(library_rules, config.library, config.enable, config.disable)
        paths = {rule.module.path for rule in selected}
        helpers = (module for module in library_policies.modules if not module.path.endswith(f"/{library.RULE_FILE}"))
        modules = (*helpers, *(module for module in library_policies.modules if module.path in paths))
        sets += [PolicySet(modules, library_policies.data), build_cluster_data(config)]
        for rule in selected:
            severity = config.severity.get(rule.name, rule.severity)
            rules[rule.query] = RuleQuery(rule.name, _parse_severity(severity), rule.remedy, rule.kinds, rule.module)
    rule_modules = [
        module for module in repository_policies.modules if not config.namespaces or module.package in config.namespaces
    ]
    for module in rule_modules:
        for query in module.list_queries():
            name = query.rpartition(".")[2]
            severity = loader.SEVERITY_BY_PREFIX[name.split("_")[0]]
            kinds = (TERRAFORM_KIND,) if is_for_terraform(module.package, config) else ()
            remedy = _read_remedy(module)
            rules[query] = RuleQuery(f"{module.package}/{name}", _parse_severity(severity), remedy, kinds, module)
    exceptions = {module.package: module.exception_query for module in rule_modules if module.exception_query}
    return QueryPlan(rules, loader.merge_policy_sets(sets), exceptions)


def _read_remedy(module: RegoModule) -> str:
    """The remedy in the METADATA of a package; empty if it has none."""
    custom = module.metadata.get("custom")
    remedy = custom.get("remedy") if isinstance(custom, dict) else None
    return remedy if isinstance(remedy, str) else ""


def is_for_terraform(package: str, config: Config) -> bool:
    """Whether the rules of a package apply only to Terraform: `policies.terraform` names it or a package around it."""
    return any(package == name or package.startswith(f"{name}.") for name in config.terraform)


def build_cluster_data(config: Config) -> PolicySet:
    """Builds the data about the cluster for rules: `data.gatekeeper.kubernetes` is its version."""
    return PolicySet((), {"gatekeeper": {"kubernetes": config.kubernetes}})


def _parse_severity(severity: str) -> Severity:
    if severity not in ("error", "warning", "info"):
        raise PolicyError(f"a severity is `error`, `warning` or `info`, not {severity!r}")
    return severity  # type: ignore[return-value]


def select_modules(plan: QueryPlan, kinds: Collection[str]) -> PolicySet:
    """The policies of a plan without rules of the library for other kinds than these, if no other policy uses them.

    Loading all rules takes longer than evaluating those that apply to the resources of a small change.
    """
    if any(module.can_use_library for module in plan.policies.modules):
        return plan.policies
    rules = [rule for rule in plan.rules.values() if rule.module.is_shipped]
    unused = {rule.module.path for rule in rules if not any(rule.is_for_kind(kind) for kind in kinds)}
    modules = (module for module in plan.policies.modules if not module.is_shipped or module.path not in unused)
    return plan.policies._replace(modules=tuple(modules))
