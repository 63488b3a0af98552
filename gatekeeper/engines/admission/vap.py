"""Kubernetes' own ValidatingAdmissionPolicies with their bindings, evaluated as the API server does on creation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and the
`admissionregistration.k8s.io/v1` API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel_policies import CelPolicy, check_compilation
from gatekeeper.engines.admission.policy_fields import parse_texts, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected
from gatekeeper.model import Resource, Severity, get_field, read_labels
from gatekeeper.upstream.client import UpstreamClient

GROUP = "admissionregistration.k8s.io"
POLICY_KIND, BINDING_KIND = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SEVERITY_BY_ACTION: dict[str, Severity] = {"Deny": "error", "Warn": "warning", "Audit": "info"}
MISSING_PARAMETERS = (
    "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
)
MATCH_FIELDS = frozenset(
    {"resourceRules", "excludeResourceRules", "namespaceSelector", "objectSelector", "matchPolicy"}
)


class PolicyBinding(NamedTuple):
    """A binding with its policy.

    Attributes:
        match_specs: `matchConstraints` of the policy and `matchResources` of the binding; both must match.
        parameters: (namespace, parameters as JSON): those with a namespace are for its resources only; None for a
            policy without parameters.
        missing_parameters: why a resource is refused for which there are no parameters; empty if it is not.
    """

    name: str
    cel_policy: CelPolicy
    match_specs: tuple[Mapping[str, Any], ...]
    parameters: tuple[tuple[str, bytes], ...] | None
    severity: Severity
    missing_parameters: str
    policy: Resource


def parse_binding(
    policy: Resource, binding: Resource, resources: Sequence[Resource], client: UpstreamClient
) -> PolicyBinding:
    """Parses a binding with its policy.

    Args:
        resources: the resources among which the parameters are.

    Raises:
        PolicyError: one of them is malformed or uses an unsupported feature, or the parameters are missing.
        ToolError: the program that compiles expressions cannot be used.
    """
    spec, binding_spec = policy.value.get("spec") or {}, binding.value.get("spec") or {}
    cel_policy = CelPolicy(policy.ref.name, spec, is_in_api=True)
    if cel_policy.has_variable("authorizer"):
        raise PolicyError("it uses `authorizer`, which only the API server of the cluster has")
    check_compilation(client, cel_policy)
    matches = [spec.get("matchConstraints") or {}, binding_spec.get("matchResources") or {}]
    for match in matches:
        reject_unknown_fields(match, MATCH_FIELDS, "its match")
        for field in ("namespaceSelector", "objectSelector"):
            is_selected(match.get(field) or {}, {}, field)  # Raises if the selector is malformed.
    if not matches[0].get("resourceRules"):
        raise PolicyError("`matchConstraints.resourceRules` is missing, so the policy has no effect")
    actions = parse_texts(binding_spec.get("validationActions"), "validationActions")
    unknown = [action for action in actions if action not in SEVERITY_BY_ACTION]
    if unknown or not actions:
        raise PolicyError(
            "`validationActions` must be some of "
            f"{', '.join(SEVERITY_BY_ACTION)}{f', not {unknown[0]}' if unknown else ''}"
        )
    severity = min((SEVERITY_BY_ACTION[action] for action in actions), key=list(SEVERITY_BY_ACTION.values()).index)
    param_ref = binding_spec.get("paramRef")
    parameters = (
        _find_parameters(spec["paramKind"], param_ref, resources) if spec.get("paramKind") and param_ref else None
    )
    is_refused = spec.get("failurePolicy") != "Ignore" and (param_ref or {}).get("parameterNotFoundAction") == "Deny"
    name = f"{POLICY_KIND}/{binding.ref.name}"
    return PolicyBinding(
        name=name,
        cel_policy=cel_policy,
        match_specs=tuple(matches),
        parameters=parameters,
        severity=severity,
        missing_parameters=MISSING_PARAMETERS if is_refused and parameters is not None else "",
        policy=policy,
    )


def _find_parameters(
    kind: Mapping[str, Any], param_ref: Mapping[str, Any], resources: Sequence[Resource]
) -> tuple[tuple[str, bytes], ...]:
    """Finds the parameters of a binding, each with the namespace whose resources it is for (empty for all)."""
    parameters = [
        resource
        for resource in resources
        if (resource.ref.api_version, resource.ref.kind)
        == (get_field(kind, ("apiVersion",)), get_field(kind, ("kind",)))
        and (not param_ref.get("name") or resource.ref.name == param_ref["name"])
        and (not param_ref.get("namespace") or resource.ref.namespace == param_ref["namespace"])
        and is_selected(param_ref.get("selector") or {}, read_labels(resource.value), "paramRef.selector")
    ]
    if not parameters:
        name = f"{get_field(kind, ('kind',))} {param_ref.get('name', '')}"
        raise PolicyError(f"the repository does not contain its parameters ({name})")
    # Without a namespace in `paramRef` the parameters are those in the namespace of the resource.
    is_per_namespace = not param_ref.get("namespace")
    return tuple((parameter.ref.namespace if is_per_namespace else "", parameter.json) for parameter in parameters)


def is_match(match_spec: Mapping[str, Any], resource: Resource, plural: str, namespaces: NamespaceIndex) -> bool:
    rules, excluded = match_spec.get("resourceRules"), match_spec.get("excludeResourceRules") or []
    is_exact = match_spec.get("matchPolicy") == "Exact"
    if rules and not any(_is_rule_match(rule, resource, plural, is_exact) for rule in rules):
        return False
    if any(_is_rule_match(rule, resource, plural, is_exact) for rule in excluded):
        return False
    selector = match_spec.get("objectSelector") or {}
    if selector and not is_selected(selector, read_labels(resource.value), "objectSelector"):
        return False
    namespace_selector = match_spec.get("namespaceSelector") or {}
    return not namespace_selector or namespaces.is_selected(namespace_selector, resource, "namespaceSelector")


def _is_rule_match(rule: Mapping[str, Any], resource: Resource, plural: str, is_exact: bool) -> bool:
    """Whether a rule selects the creation of a resource."""
    ref = resource.ref
    version = ref.api_version.rpartition("/")[2]
    if not _is_listed(rule, "operations", admission_request.OPERATION) or not _is_listed(rule, "apiGroups", ref.group):
        return False
    if is_exact and not _is_listed(rule, "apiVersions", version):
        return False
    names = rule.get("resourceNames")
    if names and ref.name not in names:
        return False
    if rule.get("scope") not in (None, "", "*") and (rule["scope"] == "Namespaced") != bool(ref.namespace):
        return False
    return any(_is_resource_listed(str(name), plural) for name in rule.get("resources") or [])


def _is_resource_listed(pattern: str, plural: str) -> bool:
    """Whether `resources` selects objects of a kind themselves: their subresource is empty, which `*` matches, too.

    Source: apiserver `pkg/admission/plugin/webhook/predicates/rules/rules.go`.
    """
    name, _, subresource = pattern.partition("/")
    return name in ("*", plural) and subresource in ("", "*")


def _is_listed(rule: Mapping[str, Any], field: str, value: str) -> bool:
    return any(item in ("*", value) for item in rule.get(field) or [])


def find_plurals(resources: Sequence[Resource]) -> dict[tuple[str, str], str]:
    """Finds the plural names that CRDs give their kinds, by (group, kind)."""
    plurals = {}
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            spec = resource.value.get("spec")
            names = get_field(spec, ("names",))
            plurals[str(get_field(spec, ("group",))), str(get_field(names, ("kind",)))] = str(
                get_field(names, ("plural",))
            )
    return plurals


def pluralize(kind: str) -> str:
    """Forms the plural name of a kind, as Kubernetes does for its own kinds."""
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy")):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"
