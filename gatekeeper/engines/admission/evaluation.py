"""Asking the policies of all families: Gatekeeper's, Kubernetes' own, and Kyverno's.

What one asks that is not known here is refused by name, unless the config lists it under `policies.clusterOnly`.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from typing import Protocol

from gatekeeper.config import Config
from gatekeeper.engines.admission import constraint_templates, constraints, engine, vap
from gatekeeper.engines.admission.constraint_templates import ConstraintTemplate
from gatekeeper.engines.admission.constraints import Constraint, ConstraintEvaluator
from gatekeeper.engines.admission.kyverno import rules as kyverno
from gatekeeper.engines.admission.kyverno.engine import KyvernoEvaluator
from gatekeeper.engines.admission.selectors import UnknownNamespaceError
from gatekeeper.engines.protocol import EngineResult
from gatekeeper.engines.rego import evaluation
from gatekeeper.engines.rego.loader import PolicySet, is_nondeterministic
from gatekeeper.engines.rego.query_plan import QueryPlan, RuleQuery
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.protocols import QueryResult


class PolicyEvaluator(Protocol):
    """The policies of one kind, ready to be asked."""

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """The policies as rules, by query."""

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a policy judges a resource; raises Unknown or PolicyError where that cannot be told."""

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`."""

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""


def evaluate_policies(
    policies: Sequence[Resource],
    known_resources: Sequence[Resource],
    targets: Sequence[Resource],
    config: Config,
    jobs: int,
) -> EngineResult:
    """Asks policies of resources.

    Args:
        known_resources: everything that the policies may look at.
    """
    lasts = not any(is_nondeterministic(one.json.decode()) for one in policies)
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for start in (_load_constraints, _load_bindings, _load_kyverno_rules):
        notes: list[Gap] = []
        try:
            family = start(policies, known_resources, config, jobs, notes)
            if family is not None:
                found, unknown = _run_evaluator(family, targets, config)
                findings += found
                gaps += unknown
        except (PolicyError, ToolError) as error:
            notes.append(Gap(policies[0].origin.file, f"no policy of its kind was asked: {error}", is_fatal=True))
        gaps.extend(notes)
    digests = [hashlib.sha256(one.json).hexdigest() for one in policies]
    # A policy that could not be evaluated is missing for every target.
    return EngineResult(findings, global_gaps=gaps, policy_digests=digests, is_cacheable=lasts)


def _run_evaluator(
    evaluator: PolicyEvaluator, targets: Sequence[Resource], config: Config
) -> tuple[list[Finding], list[Gap]]:
    rules = evaluator.build_rule_queries()
    unknown: dict[Gap, None] = {}

    def wanted(resource: Resource) -> list[str]:
        chosen = []
        for query, rule in rules.items():
            try:
                if evaluator.is_applicable(query, resource):
                    chosen.append(query)
            except (UnknownNamespaceError, PolicyError) as error:
                unknown[_build_gap(rule.module.path, rule.name, str(error), config)] = None
        return chosen

    try:
        findings, gaps = evaluation.evaluate_resources(targets, QueryPlan(rules, PolicySet((), {})), evaluator, wanted)
    finally:
        evaluator.close()
    return findings, [*gaps, *unknown]


def _build_gap(file: str, name: str, reason: str, config: Config) -> Gap:
    is_known = any(fnmatch.fnmatchcase(name, pattern) for pattern in config.cluster_only)
    way_out = "" if is_known else f"; list `{name}` under `policies.clusterOnly` to leave it to the cluster"
    return Gap(file, f"policy {name} was not asked: {reason}{way_out}", is_fatal=not is_known)


def _build_policy_gap(policy: Resource, error: Exception, config: Config) -> Gap:
    return _build_gap(policy.origin.file, f"{policy.ref.kind}/{policy.ref.name}", str(error), config)


def _load_constraints(
    policies: Sequence[Resource], known_resources: Sequence[Resource], config: Config, jobs: int, gaps: list[Gap]
) -> PolicyEvaluator | None:
    kinds: dict[str, ConstraintTemplate] = {}
    for policy in policies:
        if constraint_templates.is_template(policy):
            try:
                template = constraint_templates.parse_template(policy)
            except PolicyError as error:
                gaps.append(_build_policy_gap(policy, error, config))
                continue
            if template.kind in kinds:
                gaps.append(
                    _build_policy_gap(policy, PolicyError("another template for its kind differs from it"), config)
                )
            kinds.setdefault(template.kind, template)
    found: list[Constraint] = []
    for policy in policies:
        if constraints.is_constraint(policy):
            try:
                constraint = constraints.parse_constraint(policy, kinds)
            except PolicyError as error:
                gaps.append(_build_policy_gap(policy, error, config))
                continue
            if constraint is not None:
                found.append(constraint)
    return ConstraintEvaluator(found, known_resources, config, jobs) if found else None


def _load_bindings(
    policies: Sequence[Resource], known_resources: Sequence[Resource], config: Config, jobs: int, gaps: list[Gap]
) -> PolicyEvaluator | None:
    ours = [one for one in policies if one.ref.group == vap.GROUP]
    by_name = {one.ref.name: one for one in ours if one.ref.kind == vap.POLICY_KIND}
    bound: list[vap.PolicyBinding] = []
    used: set[str] = set()
    for binding in (one for one in ours if one.ref.kind == vap.BINDING_KIND):
        name = str((binding.value.get("spec") or {}).get("policyName"))
        used.add(name)
        try:
            if name not in by_name:
                raise PolicyError(f"it binds {vap.POLICY_KIND} {name}, which is not in the repository")
            bound.append(vap.parse_binding(by_name[name], binding, known_resources))
        except PolicyError as error:
            gaps.append(_build_policy_gap(binding, error, config))
    for name in by_name.keys() - used:
        reason = f"{vap.POLICY_KIND} {name} has no binding, so it judges nothing"
        gaps.append(Gap(by_name[name].origin.file, reason))
    return vap.BindingEvaluator(bound, known_resources, jobs) if bound else None


def _load_kyverno_rules(
    policies: Sequence[Resource], known_resources: Sequence[Resource], config: Config, jobs: int, gaps: list[Gap]
) -> PolicyEvaluator | None:
    exceptions = [
        one for one in known_resources if one.ref.group == kyverno.GROUP and one.ref.kind == "PolicyException"
    ]
    rules: list[kyverno.KyvernoRule] = []
    for policy in policies:
        said: list[str] = []
        try:
            if kyverno.is_policy(policy):
                rules.extend(kyverno.parse_rules(policy, exceptions, said))
            elif policy.ref.group == engine.KYVERNO_CEL_GROUP:
                raise PolicyError(f"the API {policy.ref.api_version} is not known here")
        except PolicyError as error:
            gaps.append(_build_policy_gap(policy, error, config))
        gaps.extend(Gap(policy.origin.file, note) for note in said)
    return KyvernoEvaluator(rules, known_resources, jobs) if rules else None
