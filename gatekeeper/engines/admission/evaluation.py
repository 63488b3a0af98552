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
from gatekeeper.engines.admission.constraint_templates import Template
from gatekeeper.engines.admission.constraints import Constraint, Constraints
from gatekeeper.engines.admission.engine import Judged
from gatekeeper.engines.admission.kyverno import rules as kyverno
from gatekeeper.engines.admission.kyverno.engine import Rules
from gatekeeper.engines.admission.selectors import Unknown
from gatekeeper.engines.rego import evaluation
from gatekeeper.engines.rego.loader import PolicySet, is_moody
from gatekeeper.engines.rego.query_plan import Asked, Plan
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Gap, Resource
from gatekeeper.protocols import Answer


class Family(Protocol):
    """The policies of one kind, ready to be asked."""

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""

    def asked(self) -> dict[str, Asked]:
        """The policies as rules, by query."""

    def chooses(self, query: str, resource: Resource) -> bool:
        """Whether a policy judges a resource; raises Unknown or PolicyError where that cannot be told."""

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.protocols.RegoEngine`."""

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""


def judge(
    policies: Sequence[Resource], known: Sequence[Resource], resources: Sequence[Resource], config: Config, jobs: int
) -> Judged:
    """Asks policies of resources.

    Args:
        known: everything that the policies may look at.
    """
    lasts = not any(is_moody(one.json.decode()) for one in policies)
    done = Judged([], [], [hashlib.sha256(one.json).hexdigest() for one in policies], lasts)
    for start in (_constraints, _bindings, _rules):
        notes: list[Gap] = []
        try:
            family = start(policies, known, config, jobs, notes)
            if family is not None:
                _ask(family, resources, config, done)
        except (PolicyError, ToolError) as error:
            notes.append(Gap(policies[0].origin.file, f"no policy of its kind was asked: {error}", fatal=True))
        done.gaps.extend(notes)
    return done


def _ask(family: Family, resources: Sequence[Resource], config: Config, done: Judged) -> None:
    rules = family.asked()
    unknown: dict[Gap, None] = {}

    def wanted(resource: Resource) -> list[str]:
        chosen = []
        for query, rule in rules.items():
            try:
                if family.chooses(query, resource):
                    chosen.append(query)
            except (Unknown, PolicyError) as error:
                unknown[_gap(rule.module.path, rule.name, str(error), config)] = None
        return chosen

    try:
        findings, gaps = evaluation.judge(resources, Plan(rules, PolicySet((), {})), family, wanted)
    finally:
        family.close()
    done.findings.extend(findings)
    done.gaps.extend([*gaps, *unknown])


def _gap(file: str, name: str, reason: str, config: Config) -> Gap:
    is_known = any(fnmatch.fnmatchcase(name, pattern) for pattern in config.cluster_only)
    way_out = "" if is_known else f"; list `{name}` under `policies.clusterOnly` to leave it to the cluster"
    return Gap(file, f"policy {name} was not asked: {reason}{way_out}", fatal=not is_known)


def _refuse(policy: Resource, error: Exception, config: Config) -> Gap:
    return _gap(policy.origin.file, f"{policy.ref.kind}/{policy.ref.name}", str(error), config)


def _constraints(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    kinds: dict[str, Template] = {}
    for policy in policies:
        if constraint_templates.is_template(policy):
            try:
                template = constraint_templates.read(policy)
            except PolicyError as error:
                notes.append(_refuse(policy, error, config))
                continue
            if template.kind in kinds:
                notes.append(_refuse(policy, PolicyError("another template for its kind differs from it"), config))
            kinds.setdefault(template.kind, template)
    found: list[Constraint] = []
    for policy in policies:
        if constraints.is_constraint(policy):
            try:
                constraint = constraints.read(policy, kinds)
            except PolicyError as error:
                notes.append(_refuse(policy, error, config))
                continue
            if constraint is not None:
                found.append(constraint)
    return Constraints(found, known, config, jobs) if found else None


def _bindings(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    ours = [one for one in policies if one.ref.group == vap.GROUP]
    by_name = {one.ref.name: one for one in ours if one.ref.kind == vap.POLICY}
    bound: list[vap.Bound] = []
    used: set[str] = set()
    for binding in (one for one in ours if one.ref.kind == vap.BINDING):
        name = str((binding.value.get("spec") or {}).get("policyName"))
        used.add(name)
        try:
            if name not in by_name:
                raise PolicyError(f"it binds {vap.POLICY} {name}, which is not in the repository")
            bound.append(vap.read(by_name[name], binding, known))
        except PolicyError as error:
            notes.append(_refuse(binding, error, config))
    for name in by_name.keys() - used:
        reason = f"{vap.POLICY} {name} has no binding, so it judges nothing"
        notes.append(Gap(by_name[name].origin.file, reason))
    return vap.Bindings(bound, known, jobs) if bound else None


def _rules(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    exceptions = [one for one in known if one.ref.group == kyverno.GROUP and one.ref.kind == "PolicyException"]
    rules: list[kyverno.Rule] = []
    for policy in policies:
        said: list[str] = []
        try:
            if kyverno.is_policy(policy):
                rules.extend(kyverno.read(policy, exceptions, said))
            elif policy.ref.group == engine.KYVERNO_NEXT:
                raise PolicyError(f"the API {policy.ref.api_version} is not known here")
        except PolicyError as error:
            notes.append(_refuse(policy, error, config))
        notes.extend(Gap(policy.origin.file, note) for note in said)
    return Rules(rules, known, jobs) if rules else None
