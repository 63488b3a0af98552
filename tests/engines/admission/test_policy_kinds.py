"""The kinds that are admission policies."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission import policy_kinds
from tests.engines.resources import build_resource


@pytest.mark.parametrize(
    ("api_version", "kind", "is_policy"),
    [
        ("templates.gatekeeper.sh/v1", "ConstraintTemplate", True),
        ("templates.gatekeeper.sh/v1", "Other", False),
        ("constraints.gatekeeper.sh/v1beta1", "AnyKindThatATemplateDefines", True),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", True),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", True),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", False),
        ("kyverno.io/v1", "ClusterPolicy", True),
        ("kyverno.io/v2", "ClusterCleanupPolicy", True),
        ("kyverno.io/v2", "PolicyException", False),
        ("policies.kyverno.io/v1", "ValidatingPolicy", True),
        ("v1", "ConstraintTemplate", False),
        ("sub.constraints.gatekeeper.sh/v1", "K", False),
    ],
)
def test_a_policy_is_known_by_group_and_kind(api_version: str, kind: str, is_policy: bool) -> None:
    resource = build_resource({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
    assert policy_kinds.is_policy(resource) is is_policy


@pytest.mark.parametrize(
    ("api_version", "kind", "is_kyverno_policy", "is_exception"),
    [
        ("kyverno.io/v1", "Policy", True, False),
        ("kyverno.io/v2", "PolicyException", False, True),
        ("policies.kyverno.io/v1", "NamespacedValidatingPolicy", True, False),
        ("policies.kyverno.io/v1beta1", "PolicyException", False, True),
        ("wgpolicyk8s.io/v1alpha2", "PolicyReport", False, False),
    ],
)
def test_kyverno_policies_are_not_exceptions(
    api_version: str, kind: str, is_kyverno_policy: bool, is_exception: bool
) -> None:
    resource = build_resource({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
    assert policy_kinds.is_kyverno_policy(resource) is is_kyverno_policy
    assert policy_kinds.is_kyverno_exception(resource) is is_exception


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ time_now_utc() }}", True),
        ("{{ random('[a-z]{8}') }}", True),
        ("time.now() > timestamp(object.spec.until)", True),
        ('{"expiresAt":"2030-01-01T00:00:00Z"}', True),
        ("{{ request.object.spec.time }}", False),
    ],
)
def test_results_of_clocks_and_chance_are_not_kept(text: str, expected: bool) -> None:
    assert policy_kinds.is_time_dependent(text) is expected
