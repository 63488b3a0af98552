"""Kyverno's mutating rules, applied to objects before the engines judge them, with `policies.mutate: apply`.

Source: an API server calls mutating webhooks before it validates an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gatekeeper.engines import secret_masks
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.engines.admission.admitted_objects import ObjectAdmission, build_admission, set_namespace
from gatekeeper.engines.admission.engine import read_known_resources
from gatekeeper.engines.admission.kyverno.program import KyvernoProgram
from gatekeeper.engines.admission.kyverno.results import LOST, UNKNOWN_NAMESPACE, Mutation, RuleResult
from gatekeeper.engines.admission.selectors import UnknownNamespaceError
from gatekeeper.engines.protocol import EngineContext
from gatekeeper.errors import ToolError
from gatekeeper.model import Gap, Resource


def apply_mutations(context: EngineContext) -> tuple[EngineContext, list[Gap]]:
    """The same run with the objects as the mutating rules change them, and gaps for rules that cannot be applied.

    Objects keep their origin, so a finding about a field that a file contains has its line. Policies are not changed.
    """
    if not context.config.is_mutation_applied:
        return context, []
    known_resources = read_known_resources(context)
    policies = [resource for resource in known_resources if policy_kinds.is_kyverno_policy(resource)]
    if not policies:
        return context, []
    admission = build_admission(context)
    admitted = [one for resource in known_resources for one in admission.admit(resource)]
    exceptions = [resource for resource in admitted if policy_kinds.is_kyverno_exception(resource)]
    try:
        program = KyvernoProgram(policies, exceptions, admitted)
        if not any(description.mutating for description in program.describe()[0]):
            return context, []
        changed, gaps = _mutate_all(context.resources, admission, program, policies)
    except ToolError as error:
        return context, [Gap(policies[0].origin.file, f"no mutating rule could be applied: {error}", is_fatal=True)]

    def replace(resources: Sequence[Resource]) -> list[Resource]:
        return [changed.get(id(resource), resource) for resource in resources]

    groups = [(name, replace(group)) for name, group in context.resource_groups]
    replaced = context._replace(
        resources=replace(context.resources), targets=replace(context.targets), resource_groups=groups
    )
    return replaced, gaps


def _mutate_all(
    resources: Sequence[Resource], admission: ObjectAdmission, program: KyvernoProgram, policies: Sequence[Resource]
) -> tuple[Mapping[int, Resource], list[Gap]]:
    """The changed resources by the identity of the original ones, and gaps."""
    requests = [
        (resource, admitted)
        for resource in resources
        if not policy_kinds.is_policy(resource) and not policy_kinds.is_kyverno_exception(resource)
        for admitted in admission.admit(resource)
    ]
    changed: dict[int, Resource] = {}
    gaps: dict[Gap, None] = {}
    for (resource, admitted), mutation in zip(
        requests, program.mutate([admitted.json for _, admitted in requests]), strict=True
    ):
        for fault in mutation.faults:
            gaps[_build_gap(resource, fault, policies)] = None
        replacement = _build_resource(resource, admitted, mutation)
        if id(resource) in changed and changed[id(resource)].json != replacement.json:
            reason = f"mutating rules change {resource.ref} differently in the namespaces that it is applied to"
            gaps[Gap(resource.origin.file, reason, is_fatal=True)] = None
        changed[id(resource)] = replacement
    return changed, list(gaps)


def _build_resource(resource: Resource, admitted: Resource, mutation: Mutation) -> Resource:
    """The resource with the changed object; a namespace that only admission filled in is taken away again."""
    if mutation.object is None:
        return resource
    changed = resource._replace(json=orjson.dumps(mutation.object))
    if resource.ref.namespace == admitted.ref.namespace:
        return changed
    return resource._replace(json=set_namespace(changed, resource.ref.namespace).json)


def _build_gap(resource: Resource, fault: RuleResult, policies: Sequence[Resource]) -> Gap:
    if fault.status == LOST:
        policy = policies[fault.policy]
        name = f"{policy.ref.kind}/{policy.ref.name}"
        return Gap(policy.origin.file, f"{name} could not be applied to all resources: {fault.message}", is_fatal=True)
    reason = secret_masks.hide_values(fault.message, resource)
    if fault.status == UNKNOWN_NAMESPACE:
        reason = str(UnknownNamespaceError(reason))
    ref = policies[fault.policy].ref if fault.policy >= 0 else None
    name = f"{ref.kind}/{ref.name}{fault.rule and f' rule {fault.rule}'}" if ref else "mutating policies"
    return Gap(resource.origin.file, f"{name} could not be applied to {resource.ref}: {reason}", is_fatal=True)
