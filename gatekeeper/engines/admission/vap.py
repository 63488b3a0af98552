"""Kubernetes' own ValidatingAdmissionPolicies with their bindings, evaluated as the API server does on creation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and the
`admissionregistration.k8s.io/v1` API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.engines.admission.cel.parameters import BindingParameters, find_parameters
from gatekeeper.engines.admission.cel.resource_rules import ResourceRules
from gatekeeper.engines.admission.cel_policies import CelPolicy, check_compilation
from gatekeeper.engines.admission.policy_fields import parse_texts, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, is_selected
from gatekeeper.model import Labels, Resource, Severity, read_labels
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.client import UpstreamClient

GROUP = "admissionregistration.k8s.io"
POLICY_KIND, BINDING_KIND = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SEVERITY_BY_ACTION: dict[str, Severity] = {"Deny": "error", "Warn": "warning", "Audit": "info"}
MATCH_FIELDS = frozenset(
    {"resourceRules", "excludeResourceRules", "namespaceSelector", "objectSelector", "matchPolicy"}
)


class PolicyBinding(NamedTuple):
    """A binding with its policy.

    Attributes:
        match_specs: `matchConstraints` of the policy and `matchResources` of the binding; both must match.
        parameters: None for a policy without parameters.
        is_error_ignored: whether `failurePolicy` accepts what cannot be evaluated.
    """

    name: str
    cel_policy: CelPolicy
    match_specs: tuple[Mapping[str, Any], ...]
    parameters: BindingParameters | None
    severity: Severity
    is_error_ignored: bool
    policy: Resource

    @property
    def has_other_denials(self) -> bool:
        """Whether an object can be denied although the binding only warns or audits: parameters are missing, or an
        audit annotation cannot be evaluated.
        """
        is_possible = self.parameters is not None or self.cel_policy.has_annotations
        return is_possible and self.severity != "error" and not self.is_error_ignored


class AdmissionIndex(NamedTuple):
    """What the policies of a repository need to know of it.

    Attributes:
        resources: the resources among which parameters and Namespaces are.
        scopes: the custom kinds.
        client: the program that evaluates policies.
        rules: the resource rules of policies.
        namespaces: the Namespaces of the repository.
    """

    resources: Sequence[Resource]
    scopes: KindScopes
    client: UpstreamClient
    rules: ResourceRules
    namespaces: NamespaceIndex

    @classmethod
    def build(
        cls, resources: Sequence[Resource], scopes: KindScopes, client: UpstreamClient, kubernetes: str
    ) -> AdmissionIndex:
        """Indexes the resources of a repository."""
        rules = ResourceRules(scopes, client, kubernetes)
        return cls(resources, scopes, client, rules, NamespaceIndex(resources))


def parse_binding(policy: Resource, binding: Resource, index: AdmissionIndex) -> PolicyBinding:
    """Parses a binding with its policy.

    Raises:
        PolicyError: one of them is malformed or uses an unsupported feature, or the parameters are missing.
        ToolError: the program that compiles expressions cannot be used.
    """
    spec, binding_spec = policy.value.get("spec") or {}, binding.value.get("spec") or {}
    cel_policy = CelPolicy(policy.ref.name, spec, is_in_api=True)
    if cel_policy.has_variable("authorizer"):
        raise PolicyError("it uses `authorizer`, which only the API server of the cluster has")
    check_compilation(index.client, cel_policy)
    return PolicyBinding(
        name=f"{POLICY_KIND}/{binding.ref.name}",
        cel_policy=cel_policy,
        match_specs=parse_match_specs(spec, binding_spec),
        parameters=find_parameters(spec.get("paramKind"), binding_spec.get("paramRef"), index.resources, index.scopes),
        severity=_parse_severity(binding_spec),
        is_error_ignored=spec.get("failurePolicy") == "Ignore",
        policy=policy,
    )


def parse_match_specs(spec: Mapping[str, Any], binding_spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Parses `matchConstraints` of a policy and `matchResources` of its binding.

    Raises:
        PolicyError: one of them is malformed.
    """
    matches = (spec.get("matchConstraints") or {}, binding_spec.get("matchResources") or {})
    for match in matches:
        reject_unknown_fields(match, MATCH_FIELDS, "its match")
        for field in ("namespaceSelector", "objectSelector"):
            is_selected(match.get(field) or {}, {}, field)  # Raises if the selector is malformed.
    if not matches[0].get("resourceRules"):
        raise PolicyError("`matchConstraints.resourceRules` is missing, so the policy has no effect")
    return matches


def _parse_severity(binding_spec: Mapping[str, Any]) -> Severity:
    actions = parse_texts(binding_spec.get("validationActions"), "validationActions")
    unknown = [action for action in actions if action not in SEVERITY_BY_ACTION]
    if unknown or not actions:
        raise PolicyError(
            "`validationActions` must be some of "
            f"{', '.join(SEVERITY_BY_ACTION)}{f', not {unknown[0]}' if unknown else ''}"
        )
    return min((SEVERITY_BY_ACTION[action] for action in actions), key=list(SEVERITY_BY_ACTION.values()).index)


def is_match(match_spec: Mapping[str, Any], resource: Resource, index: AdmissionIndex) -> bool:
    """Whether a match selects the creation of a resource.

    Raises:
        UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        PolicyError: only the cluster can convert the object to the version that the policy reads.
    """
    if index.rules.find_version(match_spec, resource.ref) is None:
        return False
    selector = match_spec.get("objectSelector") or {}
    if selector and not is_selected(selector, _read_labels(resource), "objectSelector"):
        return False
    namespace_selector = match_spec.get("namespaceSelector") or {}
    if _is_namespace(resource):
        return is_selected(namespace_selector, _read_labels(resource), "namespaceSelector")
    return not namespace_selector or index.namespaces.is_selected(namespace_selector, resource, "namespaceSelector")


def _read_labels(resource: Resource) -> Labels:
    labels = read_labels(resource.value)
    # The API server sets this label before it evaluates policies.
    return {**labels, NAMESPACE_NAME_LABEL: resource.ref.name} if _is_namespace(resource) else labels


def _is_namespace(resource: Resource) -> bool:
    return (resource.ref.api_version, resource.ref.kind) == ("v1", "Namespace")
