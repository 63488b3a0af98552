"""MutatingAdmissionPolicies: only the cluster applies them, and the report says so."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.model import Gap, Resource, get_field

GROUP = "admissionregistration.k8s.io"
POLICY_KIND, BINDING_KIND = "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"


def sort_policies(resources: Sequence[Resource], is_mutation_applied: bool) -> tuple[list[Gap], list[Resource]]:
    """Notes about the policies among resources, and those whose changes are missing in what is judged.

    Args:
        is_mutation_applied: whether the config asks for the changes of mutating policies.
    """
    own = [resource for resource in resources if resource.ref.group == GROUP]
    bound_names = {
        get_field(binding.value, ("spec", "policyName")) for binding in own if binding.ref.kind == BINDING_KIND
    }
    notes: list[Gap] = []
    unapplied: list[Resource] = []
    for policy in (resource for resource in own if resource.ref.kind == POLICY_KIND):
        name = f"{POLICY_KIND} {policy.ref.name}"
        if policy.ref.name not in bound_names:
            notes.append(Gap(policy.origin.file, f"{name} has no binding, so it has no effect"))
        elif is_mutation_applied:
            unapplied.append(policy)
        else:
            reason = f"{name} would mutate resources; the resulting resources are not checked"
            notes.append(Gap(policy.origin.file, reason))
    return notes, unapplied
