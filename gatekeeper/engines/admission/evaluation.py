"""Evaluates the policies of all families: OPA Gatekeeper's, Kubernetes' own, and Kyverno's.

A policy that uses an unsupported feature is a fatal gap, unless the config lists it under `policies.clusterOnly`.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from typing import Protocol

from gatekeeper.config import Config
from gatekeeper.engines import secret_masks
from gatekeeper.engines.admission import constraint_templates, constraints, policy_kinds, vap
from gatekeeper.engines.admission.admitted_objects import (
    DEFAULT_NAMESPACE,
    ObjectAdmission,
    build_admission,
    set_namespace,
)
from gatekeeper.engines.admission.binding_evaluator import BindingEvaluator
from gatekeeper.engines.admission.cel import mutating_policies
from gatekeeper.engines.admission.constraint_evaluator import ConstraintEvaluator
from gatekeeper.engines.admission.kyverno.evaluator import KyvernoEvaluator
from gatekeeper.engines.admission.kyverno.program import KyvernoProgram
from gatekeeper.engines.admission.model import Constraint, ConstraintTemplate
from gatekeeper.engines.admission.selectors import UnknownNamespaceError
from gatekeeper.engines.protocol import EngineContext, EngineResult
from gatekeeper.engines.rego.evaluation import evaluate_resources
from gatekeeper.engines.rego.loader import is_nondeterministic
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RuleQuery
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import RegoEngine
from gatekeeper.upstream.client import open_client

# What a policy that reads other objects than the judged one contains.
READS_OBJECTS = compile_lazily(r"\binventory\b|\bparamKind\b")


class PolicyEvaluator(RegoEngine, Protocol):
    """The policies of one family, evaluated like a Rego engine: a query is a policy, an input a resource."""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rule of each policy, by query."""

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a policy applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
            PolicyError: the policy is malformed or uses an unsupported feature.
        """


class PolicyLoader(NamedTuple):
    """What the loaders of all families need, and the gaps that they report.

    Attributes:
        policies: the policies of all families.
        known_resources: all resources that policies may read.
        targets: the objects that will be evaluated.
        scopes: the custom kinds.
    """

    policies: Sequence[Resource]
    known_resources: Sequence[Resource]
    targets: Sequence[Resource]
    scopes: KindScopes
    config: Config
    jobs: int
    gaps: list[Gap]

    def report(self, policy: Resource, error: Exception) -> None:
        """Adds a gap for a policy that cannot be evaluated."""
        name = f"{policy.ref.kind}/{policy.ref.name}"
        self.gaps.append(_build_gap(policy.origin.file, name, str(error), self.config))

    def load_constraints(self) -> PolicyEvaluator | None:
        """Loads the constraints of OPA Gatekeeper; None without any."""
        templates = self._load_templates()
        loaded: list[Constraint] = []
        for policy in filter(constraints.is_constraint, self.policies):
            try:
                constraint = constraints.parse_constraint(policy, templates)
            except PolicyError as error:
                self.report(policy, error)
            else:
                loaded += [constraint] if constraint is not None else []
        return ConstraintEvaluator(loaded, self.known_resources, self.config, self.jobs) if loaded else None

    def _load_templates(self) -> dict[str, ConstraintTemplate]:
        templates: dict[str, ConstraintTemplate] = {}
        for policy in filter(constraint_templates.is_template, self.policies):
            try:
                template = constraint_templates.parse_template(policy)
                if template.kind in templates:
                    raise PolicyError(f"a second ConstraintTemplate defines {template.kind} with different content")
                templates[template.kind] = template
            except PolicyError as error:
                self.report(policy, error)
        return templates

    def load_bindings(self) -> PolicyEvaluator | None:
        """Loads the ValidatingAdmissionPolicies that have a binding; None without any.

        Raises:
            PolicyError: a binding names a policy that the repository does not contain.
        """
        resources = [policy for policy in self.policies if policy.ref.group == vap.GROUP]
        policies = {resource.ref.name: resource for resource in resources if resource.ref.kind == vap.POLICY_KIND}
        kubernetes = self.config.kubernetes
        index = vap.AdmissionIndex.build(self.known_resources, self.scopes, open_client(kubernetes), kubernetes)
        bindings: list[vap.PolicyBinding] = []
        bound_names: set[str] = set()
        for binding in (resource for resource in resources if resource.ref.kind == vap.BINDING_KIND):
            name = str((binding.value.get("spec") or {}).get("policyName"))
            bound_names.add(name)
            try:
                if name not in policies:
                    raise PolicyError(f"the repository does not contain its {vap.POLICY_KIND} {name}")
                bindings.append(vap.parse_binding(policies[name], binding, index))
            except PolicyError as error:
                self.report(binding, error)
        for name in policies.keys() - bound_names:
            reason = f"{vap.POLICY_KIND} {name} has no binding, so it has no effect"
            self.gaps.append(Gap(policies[name].origin.file, reason))
        return BindingEvaluator(bindings, index) if bindings else None

    def load_kyverno_rules(self) -> PolicyEvaluator | None:
        """Loads the rules of Kyverno policies that validate; None without any.

        Raises:
            ToolError: the program with Kyverno's engine cannot be used.
        """
        policies = [policy for policy in self.policies if policy_kinds.is_kyverno_policy(policy)]
        if not policies:
            return None
        exceptions = [resource for resource in self.known_resources if policy_kinds.is_kyverno_exception(resource)]
        program = KyvernoProgram(policies, exceptions, self.known_resources)
        descriptions, faults = program.describe()
        for exception, fault in zip(exceptions, faults, strict=True):
            if fault:
                self.report(exception, PolicyError(fault))
        for policy, description in zip(policies, descriptions, strict=True):
            notes = [
                *description.notes,
                *(
                    f"rule {policy.ref.name}/{rule} would mutate resources; the resulting resources are not checked"
                    for rule in description.mutating
                    if not self.config.is_mutation_applied
                ),
            ]
            self.gaps.extend(Gap(policy.origin.file, note) for note in notes)
            for refusal in description.refusals:
                self.report(policy, PolicyError(refusal))
        described = list(zip(policies, descriptions, strict=True))
        if not any(description.rules for description in descriptions):
            return None
        return KyvernoEvaluator(program, described, self.targets)


def evaluate_policies(
    policies: Sequence[Resource], known_resources: Sequence[Resource], context: EngineContext
) -> EngineResult:
    """Evaluates policies on the targets.

    Args:
        known_resources: all resources that policies may read.
    """
    findings: list[Finding] = []
    gaps: list[Gap] = []
    admission = build_admission(context)
    targets = AdmittedTargets.build(context.targets, admission)
    loader = PolicyLoader(
        policies=[admitted for policy in policies for admitted in admission.admit(policy)],
        known_resources=[admitted for resource in known_resources for admitted in admission.admit(resource)],
        targets=list(targets.admitted.values()),
        scopes=admission.scopes,
        config=context.config,
        jobs=context.jobs,
        gaps=gaps,
    )
    notes, unapplied = mutating_policies.sort_policies(loader.policies, context.config.is_mutation_applied)
    gaps += notes
    for policy in unapplied:
        loader.report(policy, PolicyError("`policies.mutate: apply` does not apply policies of this kind"))
    for load_family in (loader.load_constraints, loader.load_bindings, loader.load_kyverno_rules):
        try:
            evaluator = load_family()
            if evaluator is not None:
                family_findings, family_gaps = _run_evaluator(evaluator, targets, context.config)
                findings += family_findings
                gaps += family_gaps
        except (PolicyError, ToolError) as error:
            reason = f"no policy of its kind could be evaluated: {error}"
            gaps.append(Gap(policies[0].origin.file, reason, is_fatal=True))
    texts = [
        policy.json.decode() for policy in (*policies, *filter(policy_kinds.is_kyverno_exception, known_resources))
    ]
    if any(READS_OBJECTS.search(text) for text in texts):
        findings, gaps = secret_masks.hide_foreign_values(findings, gaps, known_resources)
    digests = [hashlib.sha256(policy.json).hexdigest() for policy in policies]
    is_cacheable = not any(is_nondeterministic(text) or policy_kinds.is_time_dependent(text) for text in texts)
    # A policy that could not be evaluated is missing for every target.
    return EngineResult(findings, global_gaps=gaps, policy_digests=digests, is_cacheable=is_cacheable)


class AdmittedTargets(NamedTuple):
    """The targets as admission sees them.

    Attributes:
        resources: the objects that are evaluated, by the names that they have in their files.
        admitted: the same objects by the names that they have in the cluster.
        unknown: the indexes of objects whose scope is not known.
    """

    resources: list[Resource]
    admitted: dict[int, Resource]
    unknown: set[int]

    @classmethod
    def build(cls, targets: Sequence[Resource], admission: ObjectAdmission) -> AdmittedTargets:
        """Admits the targets."""
        built = cls([], {}, set())
        for target in targets:
            for admitted in admission.admit(target):
                named = target if admitted is target else admitted._replace(ref=target.ref)
                built.resources.append(named)
                built.admitted[id(named)] = admitted
                if admission.is_scope_unknown(target):
                    built.unknown.add(id(named))
        return built


class _PolicySelector:
    """Selects the policies that apply to a resource; policies for which that is unknown are gaps, each once."""

    def __init__(self, evaluator: PolicyEvaluator, targets: AdmittedTargets, config: Config) -> None:
        self._evaluator = evaluator
        self._targets = targets
        self._config = config
        self.rules = evaluator.build_rule_queries()
        self.gaps: dict[Gap, None] = {}

    def __call__(self, resource: Resource) -> list[str]:
        queries = self._select(self._targets.admitted[id(resource)])
        if id(resource) not in self._targets.unknown:
            return queries
        in_namespace = self._select(set_namespace(resource, DEFAULT_NAMESPACE))
        reason = (
            f"nothing says whether {resource.ref.kind} ({resource.ref.api_version}) is namespaced: add its CRD to the "
            "repository or to `schemas.crds`"
        )
        for query in set(queries) ^ set(in_namespace):
            self._add_gap(query, reason)
        return [query for query in queries if query in in_namespace]

    def _select(self, resource: Resource) -> list[str]:
        queries = []
        for query in self.rules:
            try:
                if self._evaluator.is_applicable(query, resource):
                    queries.append(query)
            except (UnknownNamespaceError, PolicyError) as error:
                text = self.rules[query].module.text
                self._add_gap(query, secret_masks.hide_values(str(error), resource, text))
        return queries

    def _add_gap(self, query: str, reason: str) -> None:
        rule = self.rules[query]
        self.gaps[_build_gap(rule.module.path, rule.name, reason, self._config)] = None


def _run_evaluator(
    evaluator: PolicyEvaluator, targets: AdmittedTargets, config: Config
) -> tuple[list[Finding], list[Gap]]:
    try:
        selector = _PolicySelector(evaluator, targets, config)
        plan = QueryPlan(selector.rules, PolicySet((), {}))
        findings, gaps = evaluate_resources(targets.resources, plan, evaluator, selector)
    finally:
        evaluator.close()
    return findings, [*gaps, *selector.gaps]


def _build_gap(file: str, name: str, reason: str, config: Config) -> Gap:
    is_cluster_only = any(fnmatch.fnmatchcase(name, pattern) for pattern in config.cluster_only)
    hint = "" if is_cluster_only else f"; list `{name}` under `policies.clusterOnly` to leave it to the cluster"
    return Gap(file, f"policy {name} could not be evaluated: {reason}{hint}", is_fatal=not is_cluster_only)
