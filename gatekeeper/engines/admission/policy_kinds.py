"""The kinds of resources that are admission policies, or that put one into effect."""

from __future__ import annotations

from gatekeeper.model import Resource

KYVERNO_CEL_GROUP = "policies.kyverno.io"
# The kinds by API group; an empty tuple means all kinds of the group.
POLICY_KINDS: dict[str, tuple[str, ...]] = {
    "templates.gatekeeper.sh": ("ConstraintTemplate",),
    "constraints.gatekeeper.sh": (),
    "admissionregistration.k8s.io": ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    "kyverno.io": ("ClusterPolicy", "Policy"),
    KYVERNO_CEL_GROUP: (),
}


def is_policy(resource: Resource) -> bool:
    """Whether a resource is a policy, or puts one into effect."""
    return is_policy_kind(resource.ref.group, resource.ref.kind)


def is_policy_kind(group: str, kind: str) -> bool:
    """Whether a kind is that of a policy, or of a resource that puts one into effect."""
    kinds = POLICY_KINDS.get(group)
    return kinds is not None and (not kinds or kind in kinds)
