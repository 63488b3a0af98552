"""Kubernetes' own ValidatingAdmissionPolicies with their bindings, judged as the API server would on creation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and the
`admissionregistration.k8s.io/v1` API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.engines.admission import admission_request, selectors
from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.loader import RegoModule
from gatekeeper.engines.rego.query_plan import RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected, read_labels
from gatekeeper.model import Resource, Severity, get_field
from gatekeeper.protocols import QueryResult
from gatekeeper.render.manifests import build_ref

GROUP = "admissionregistration.k8s.io"
POLICY_KIND, BINDING_KIND = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SEVERITY_BY_ACTION: dict[str, Severity] = {"Deny": "error", "Warn": "warning", "Audit": "info"}
MATCH_FIELDS = {"resourceRules", "excludeResourceRules", "namespaceSelector", "objectSelector", "matchPolicy"}


class PolicyBinding(NamedTuple):
    """One binding of one policy.

    Attributes:
        match_specs: the policy's and the binding's `match...`: a resource must be chosen by both.
        parameters: the parameters, each as JSON; None where the policy takes none.
    """

    name: str
    cel_policy: CelPolicy
    match_specs: tuple[Mapping[str, Any], ...]
    parameters: tuple[tuple[str, bytes], ...] | None
    severity: Severity
    is_failure_ignored: bool
    policy: Resource


class BindingEvaluator:
    """Policies in CEL with their bindings, asked as a Rego engine is: a query is a binding's, an input a resource."""

    def __init__(self, bindings: Sequence[PolicyBinding], resources: Sequence[Resource], jobs: int) -> None:
        self._bindings = {one.name: one for one in bindings}
        self._namespaces = NamespaceIndex(resources)
        self._plurals = find_plurals(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "cel", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """The bindings as rules."""
        return {
            query: RuleQuery(query, one.severity, "", (), _build_outline(one)) for query, one in self._bindings.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a binding judges a resource.

        Raises:
            Unknown: that hangs on what the repository does not hold.
        """
        one = self._bindings[query]
        if one.cel_policy.has_variable("namespaceObject") and resource.ref.namespace:
            self._namespaces.find_object(resource.ref.namespace)
        plural = self._plurals.get((resource.ref.group, resource.ref.kind)) or pluralize(resource.ref.kind)
        return all(_is_match(match, resource, plural, self._namespaces) for match in one.match_specs)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        answers = []
        for query, one in self._bindings.items():
            rows = [
                (number, row)
                for number, (json, queries) in enumerate(inputs)
                if query in queries
                for row in self._build_inputs(one, json)
            ]
            outcomes = one.cel_policy.evaluate([row for _, row in rows], self._jobs)
            said: dict[int, tuple[list[str], str]] = {}
            for (number, _), outcome in zip(rows, outcomes, strict=True):
                messages, error = said.setdefault(number, ([], ""))
                messages.extend(outcome.messages)
                said[number] = (messages, error or outcome.error)
            for number, (messages, error) in said.items():
                if messages or (error and not one.is_failure_ignored):
                    answers.append(QueryResult(number, query, list(dict.fromkeys(messages)), "" if messages else error))
        return sorted(
            answers, key=lambda answer: (answer.input_index, list(inputs[answer.input_index][1]).index(answer.query))
        )

    def _build_inputs(self, binding: PolicyBinding, json: bytes) -> Iterator[dict[str, bytes]]:
        ref = build_ref(orjson.loads(json))
        row = {"object": json, "oldObject": b"null", "request": admission_request.build_request_head(ref) + b"}"}
        if binding.cel_policy.has_variable("namespaceObject"):
            held = self._namespaces.find_object(ref.namespace) if ref.namespace else None
            row["namespaceObject"] = orjson.dumps(held)
        if binding.parameters is None:
            yield row
        for namespace, params in binding.parameters or ():
            if not namespace or namespace == ref.namespace:
                yield {**row, "params": params}

    def close(self) -> None:
        """Nothing was started."""


def _build_outline(binding: PolicyBinding) -> RegoModule:
    return RegoModule(
        binding.policy.origin.file, binding.cel_policy.text.replace("object.", "input."), "", (), False, {}
    )


def parse_binding(policy: Resource, binding: Resource, resources: Sequence[Resource]) -> PolicyBinding:
    """A policy as a binding puts it to work.

    Raises:
        PolicyError: one of both is malformed, or asks for what is not known here.
    """
    spec, bound = policy.value.get("spec") or {}, binding.value.get("spec") or {}
    expressions = CelPolicy(spec)
    if expressions.has_variable("authorizer"):
        raise PolicyError("it asks the API server's `authorizer`, which only the cluster can")
    matches = [spec.get("matchConstraints") or {}, bound.get("matchResources") or {}]
    for match in matches:
        for field in match.keys() - MATCH_FIELDS:
            raise PolicyError(f"its match knows no `{field}`; there are {', '.join(sorted(MATCH_FIELDS))}")
        for field in ("namespaceSelector", "objectSelector"):
            is_selected(match.get(field) or {}, {}, field)
    if not matches[0].get("resourceRules"):
        raise PolicyError("`matchConstraints.resourceRules` is missing, so it would judge nothing")
    actions = selectors.parse_text_list(bound.get("validationActions"), "validationActions")
    unknown = [action for action in actions if action not in SEVERITY_BY_ACTION]
    if unknown or not actions:
        raise PolicyError(
            "`validationActions` must be some of "
            f"{', '.join(SEVERITY_BY_ACTION)}{f', not {unknown[0]}' if unknown else ''}"
        )
    severity = min((SEVERITY_BY_ACTION[action] for action in actions), key=list(SEVERITY_BY_ACTION.values()).index)
    params = _find_parameters(spec, bound, resources) if spec.get("paramKind") else None
    name = f"{POLICY_KIND}/{binding.ref.name}"
    return PolicyBinding(
        name, expressions, tuple(matches), params, severity, spec.get("failurePolicy") == "Ignore", policy
    )


def _find_parameters(
    spec: Mapping[str, Any], binding_spec: Mapping[str, Any], resources: Sequence[Resource]
) -> tuple[tuple[str, bytes], ...]:
    """The objects that a binding takes its parameters from, each with the namespace whose resources it is for."""
    kind, named = spec["paramKind"], binding_spec.get("paramRef") or {}
    there = [
        one
        for one in resources
        if (one.ref.api_version, one.ref.kind) == (get_field(kind, ("apiVersion",)), get_field(kind, ("kind",)))
        and (not named.get("name") or one.ref.name == named["name"])
        and (not named.get("namespace") or one.ref.namespace == named["namespace"])
        and is_selected(named.get("selector") or {}, read_labels(one.value), "paramRef.selector")
    ]
    if not there:
        raise PolicyError(
            f"its parameters ({get_field(kind, ('kind',))} {named.get('name', '')}) are not in the repository"
        )
    is_own = not named.get("namespace")
    return tuple((one.ref.namespace if is_own else "", one.json) for one in there)


def _is_match(match_spec: Mapping[str, Any], resource: Resource, plural: str, namespaces: NamespaceIndex) -> bool:
    rules, excluded = match_spec.get("resourceRules"), match_spec.get("excludeResourceRules") or []
    exact = match_spec.get("matchPolicy") == "Exact"
    if rules and not any(_is_rule_match(rule, resource, plural, exact) for rule in rules):
        return False
    if any(_is_rule_match(rule, resource, plural, exact) for rule in excluded):
        return False
    wanted = match_spec.get("objectSelector") or {}
    if wanted and not is_selected(wanted, read_labels(resource.value), "objectSelector"):
        return False
    homes = match_spec.get("namespaceSelector") or {}
    return not homes or namespaces.is_selected(homes, resource, "namespaceSelector")


def _is_rule_match(rule: Mapping[str, Any], resource: Resource, plural: str, is_exact: bool) -> bool:
    """Whether one rule takes in a resource on its creation."""
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
    return any(name in ("*", "*/*", plural) for name in rule.get("resources") or [])


def _is_listed(rule: Mapping[str, Any], field: str, value: str) -> bool:
    return any(item in ("*", value) for item in rule.get(field) or [])


def find_plurals(resources: Sequence[Resource]) -> dict[tuple[str, str], str]:
    """The plural names that CRDs of the repository give their kinds, by (group, kind)."""
    known = {}
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            spec = resource.value.get("spec")
            names = get_field(spec, ("names",))
            known[str(get_field(spec, ("group",))), str(get_field(names, ("kind",)))] = str(
                get_field(names, ("plural",))
            )
    return known


def pluralize(kind: str) -> str:
    """The plural name of a kind, as Kubernetes forms it for its own."""
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy")):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"
