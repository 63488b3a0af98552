"""Kubernetes' own ValidatingAdmissionPolicies with their bindings, evaluated as the API server does on creation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and the
`admissionregistration.k8s.io/v1` API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.policy_fields import parse_texts, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.model import RegoModule, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected
from gatekeeper.model import Resource, Severity, build_ref, get_field, read_labels
from gatekeeper.protocols import QueryResult

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
        parameters: (namespace, parameters as JSON): those with a namespace are for its resources only; None for a
            policy without parameters.
        is_failure_ignored: whether an expression that cannot be evaluated counts as true (`failurePolicy: Ignore`).
    """

    name: str
    cel_policy: CelPolicy
    match_specs: tuple[Mapping[str, Any], ...]
    parameters: tuple[tuple[str, bytes], ...] | None
    severity: Severity
    is_failure_ignored: bool
    policy: Resource


class BindingEvaluator:
    """Bindings of CEL policies, evaluated like a Rego engine: a query is a binding, an input a resource."""

    def __init__(self, bindings: Sequence[PolicyBinding], resources: Sequence[Resource], jobs: int) -> None:
        self._bindings = {binding.name: binding for binding in bindings}
        self._namespaces = NamespaceIndex(resources)
        self._plurals = find_plurals(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "cel", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rule of each binding, by query."""
        return {
            query: RuleQuery(query, binding.severity, "", (), _build_outline(binding))
            for query, binding in self._bindings.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a binding applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        """
        binding = self._bindings[query]
        if binding.cel_policy.has_variable("namespaceObject") and resource.ref.namespace:
            self._namespaces.find_object(resource.ref.namespace)
        plural = self._plurals.get((resource.ref.group, resource.ref.kind)) or pluralize(resource.ref.kind)
        return all(_is_match(match, resource, plural, self._namespaces) for match in binding.match_specs)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        results = []
        for query, binding in self._bindings.items():
            rows = [
                (number, row)
                for number, (json, queries) in enumerate(inputs)
                if query in queries
                for row in self._build_bindings(binding, json)
            ]
            cel_results = binding.cel_policy.evaluate([row for _, row in rows], self._jobs)
            # With several parameters a binding gives several results for one resource.
            merged: dict[int, tuple[list[str], str]] = {}
            for (number, _), cel_result in zip(rows, cel_results, strict=True):
                messages, error = merged.get(number, ([], ""))
                merged[number] = ([*messages, *cel_result.messages], error or cel_result.error)
            for number, (messages, error) in merged.items():
                if messages or (error and not binding.is_failure_ignored):
                    results.append(QueryResult(number, query, list(dict.fromkeys(messages)), "" if messages else error))
        return sorted(
            results, key=lambda result: (result.input_index, list(inputs[result.input_index][1]).index(result.query))
        )

    def _build_bindings(self, binding: PolicyBinding, json: bytes) -> Iterator[dict[str, bytes]]:
        """Builds the root variables for a resource, once for each of the parameters that apply to it."""
        ref = build_ref(orjson.loads(json))
        row = {"object": json, "oldObject": b"null", "request": admission_request.build_request_head(ref) + b"}"}
        if binding.cel_policy.has_variable("namespaceObject"):
            namespace = self._namespaces.find_object(ref.namespace) if ref.namespace else None
            row["namespaceObject"] = orjson.dumps(namespace)
        if binding.parameters is None:
            yield row
        for parameter_namespace, parameters in binding.parameters or ():
            if not parameter_namespace or parameter_namespace == ref.namespace:
                yield {**row, "params": parameters}

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; there is nothing to end."""


def _build_outline(binding: PolicyBinding) -> RegoModule:
    """Builds text that reads the fields of the policy from `input`, for tracing the fields of findings."""
    return RegoModule(
        path=binding.policy.origin.file,
        text=binding.cel_policy.text.replace("object.", "input."),
        package="",
        rules=(),
        is_v0=False,
        metadata={},
    )


def parse_binding(policy: Resource, binding: Resource, resources: Sequence[Resource]) -> PolicyBinding:
    """Parses a binding with its policy.

    Args:
        resources: the resources among which the parameters are.

    Raises:
        PolicyError: one of them is malformed or uses an unsupported feature, or the parameters are missing.
    """
    spec, binding_spec = policy.value.get("spec") or {}, binding.value.get("spec") or {}
    cel_policy = CelPolicy(spec)
    if cel_policy.has_variable("authorizer"):
        raise PolicyError("it uses `authorizer`, which only the API server of the cluster has")
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
    parameters = _find_parameters(spec, binding_spec, resources) if spec.get("paramKind") else None
    name = f"{POLICY_KIND}/{binding.ref.name}"
    return PolicyBinding(
        name=name,
        cel_policy=cel_policy,
        match_specs=tuple(matches),
        parameters=parameters,
        severity=severity,
        is_failure_ignored=spec.get("failurePolicy") == "Ignore",
        policy=policy,
    )


def _find_parameters(
    spec: Mapping[str, Any], binding_spec: Mapping[str, Any], resources: Sequence[Resource]
) -> tuple[tuple[str, bytes], ...]:
    """Finds the parameters of a binding, each with the namespace whose resources it is for (empty for all)."""
    kind, param_ref = spec["paramKind"], binding_spec.get("paramRef") or {}
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


def _is_match(match_spec: Mapping[str, Any], resource: Resource, plural: str, namespaces: NamespaceIndex) -> bool:
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
