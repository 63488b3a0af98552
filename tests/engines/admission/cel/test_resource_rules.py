"""Resource rules: equivalent API versions, conversion, plural names. Random rules: `test_policy_differential.py`."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission.cel.resource_rules import ResourceRules
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.errors import PolicyError
from gatekeeper.model import ObjectRef
from gatekeeper.upstream.client import UpstreamClient
from tests.upstream.conftest import client, program  # noqa: F401  fixtures

WIDGET = CustomKind("example.com", "v1", "Widget", True, {"type": "object"}, plural="widgetries")


def match(
    client: UpstreamClient,  # noqa: F811
    rule: str,
    api_version: str,
    kind: str,
    kubernetes: str = "1.36",
    custom: tuple[CustomKind, ...] = (),
    **fields: Any,
) -> str | None:
    """The version for a rule such as `autoscaling/v1/horizontalpodautoscalers`."""
    group, version, resource = rule.split("/", 2)
    spec = {
        "resourceRules": [
            {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE"], "resources": [resource]}
        ]
    }
    rules = ResourceRules(KindScopes(custom), client, kubernetes)
    return rules.find_version({**spec, **fields}, ObjectRef(api_version, kind, "web", "prod"))


@pytest.mark.parametrize(
    ("rule", "api_version", "kind", "found"),
    [
        ("apps/v1/deployments", "apps/v1", "Deployment", "apps/v1"),
        ("apps/v1beta1/deployments", "apps/v1", "Deployment", None),
        ("apps/v1/deployments", "extensions/v1beta1", "Deployment", None),
        ("autoscaling/v1/horizontalpodautoscalers", "autoscaling/v2", "HorizontalPodAutoscaler", "autoscaling/v1"),
        ("autoscaling/v2beta2/horizontalpodautoscalers", "autoscaling/v2", "HorizontalPodAutoscaler", None),
        ("/v1/events", "events.k8s.io/v1", "Event", "v1"),
        ("events.k8s.io/v1/events", "v1", "Event", "events.k8s.io/v1"),
        ("*/v1/*", "resource.k8s.io/v1beta1", "ResourceClaim", "resource.k8s.io/v1"),
        ("*/v1/*", "apps/v1beta1", "NoSuchKind", None),
        ("*/*/*", "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", None),
        (
            "*/*/*",
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            "admissionregistration.k8s.io/v1",
        ),
    ],
)
def test_a_policy_sees_the_version_that_it_names(
    client: UpstreamClient,  # noqa: F811
    rule: str,
    api_version: str,
    kind: str,
    found: str | None,
) -> None:
    assert match(client, rule, api_version, kind) == found


@pytest.mark.parametrize(("kubernetes", "is_served"), [("1.31", True), ("1.32", False)])
def test_versions_are_those_that_the_configured_cluster_serves(
    client: UpstreamClient,  # noqa: F811
    kubernetes: str,
    is_served: bool,
) -> None:
    group = "flowcontrol.apiserver.k8s.io"
    found = match(client, f"{group}/v1beta3/flowschemas", f"{group}/v1", "FlowSchema", kubernetes)
    assert found == (f"{group}/v1beta3" if is_served else None)


def test_an_exact_match_knows_no_equivalents(client: UpstreamClient) -> None:  # noqa: F811
    rule, version = "autoscaling/v1/*", "autoscaling/v2"
    assert match(client, rule, version, "HorizontalPodAutoscaler", matchPolicy="Exact") is None


def test_custom_kinds_have_the_versions_and_the_plural_of_their_definition(
    client: UpstreamClient,  # noqa: F811
) -> None:
    v2, v3 = WIDGET._replace(version="v2"), WIDGET._replace(version="v3", is_served=False)
    kinds = (WIDGET, v2, v3)
    found = [
        match(client, f"example.com/{version}/widgetries", "example.com/v1", "Widget", custom=kinds)
        for version in ("v1", "v2", "v3")
    ]
    assert found == ["example.com/v1", "example.com/v2", None]
    assert match(client, "example.com/v1/widgets", "example.com/v1", "Widget", custom=kinds) is None


def test_conversion_by_a_webhook_is_left_to_the_cluster(client: UpstreamClient) -> None:  # noqa: F811
    kinds = tuple(WIDGET._replace(version=version, conversion="Webhook") for version in ("v1", "v2"))
    with pytest.raises(
        PolicyError, match=r"in version example.com/v2, and a webhook in the cluster converts this kind"
    ):
        match(client, "example.com/v2/*", "example.com/v1", "Widget", custom=kinds)
