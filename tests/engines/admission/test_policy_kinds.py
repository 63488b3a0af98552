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
        ("kyverno.io/v2", "PolicyException", False),
        ("policies.kyverno.io/v1", "ValidatingPolicy", True),
        ("v1", "ConstraintTemplate", False),
        ("sub.constraints.gatekeeper.sh/v1", "K", False),
    ],
)
def test_a_policy_is_known_by_group_and_kind(api_version: str, kind: str, is_policy: bool) -> None:
    resource = build_resource({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
    assert policy_kinds.is_policy(resource) is is_policy
