"""The kinds of resources that are admission policies, or that put one into effect."""

from __future__ import annotations

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Resource

KYVERNO_GROUP, KYVERNO_CEL_GROUP = "kyverno.io", "policies.kyverno.io"
KYVERNO_EXCEPTION = "PolicyException"
# The kinds by API group; an empty tuple means all kinds of the group.
POLICY_KINDS: dict[str, tuple[str, ...]] = {
    "templates.gatekeeper.sh": ("ConstraintTemplate",),
    "constraints.gatekeeper.sh": (),
    "admissionregistration.k8s.io": (
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ),
    KYVERNO_GROUP: ("ClusterPolicy", "Policy", "CleanupPolicy", "ClusterCleanupPolicy"),
    KYVERNO_CEL_GROUP: (),
}

# Kyverno's functions for JMESPath and CEL, and the end of an exception.
TIME_DEPENDENT = compile_lazily(r"\btime_(?:now|now_utc|since)\b|\brandom\(|\btime\.now\b|\bnow\(\)|\"expiresAt\"")


def is_policy(resource: Resource) -> bool:
    """Whether a resource is a policy, or puts one into effect."""
    return is_policy_kind(resource.ref.group, resource.ref.kind)


def is_policy_kind(group: str, kind: str) -> bool:
    """Whether a kind is that of a policy, or of a resource that puts one into effect."""
    kinds = POLICY_KINDS.get(group)
    return kinds is not None and (not kinds or kind in kinds)


def is_kyverno_policy(resource: Resource) -> bool:
    """Whether a resource is a Kyverno policy of any kind."""
    is_cel_policy = resource.ref.group == KYVERNO_CEL_GROUP and resource.ref.kind != KYVERNO_EXCEPTION
    return is_cel_policy or (resource.ref.group == KYVERNO_GROUP and is_policy(resource))


def is_kyverno_exception(resource: Resource) -> bool:
    """Whether a resource is a PolicyException of Kyverno."""
    return resource.ref.group in (KYVERNO_GROUP, KYVERNO_CEL_GROUP) and resource.ref.kind == KYVERNO_EXCEPTION


def is_time_dependent(text: str) -> bool:
    """Whether a Kyverno policy or exception may give another result for the same resource at another time."""
    return TIME_DEPENDENT.search(text) is not None
