"""Kubernetes' own ValidatingAdmissionPolicies with their bindings, judged as the API server would on creation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and the
`admissionregistration.k8s.io/v1` API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.engines.admission import admission_request, selectors
from gatekeeper.engines.admission.cel_policies import Expressions
from gatekeeper.engines.admission.selectors import Namespaces
from gatekeeper.engines.rego.loader import Module
from gatekeeper.engines.rego.query_plan import Asked
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import labels_of, selects
from gatekeeper.model import Resource, Severity, at
from gatekeeper.protocols import Answer
from gatekeeper.render.manifests import ref_of

GROUP = "admissionregistration.k8s.io"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SEVERITY: dict[str, Severity] = {"Deny": "error", "Warn": "warning", "Audit": "info"}
MATCH_FIELDS = {"resourceRules", "excludeResourceRules", "namespaceSelector", "objectSelector", "matchPolicy"}


class Bound(NamedTuple):
    """One binding of one policy.

    Attributes:
        matches: the policy's and the binding's `match...`: a resource must be chosen by both.
        params: the parameters, each as JSON; None where the policy takes none.
    """

    name: str
    expressions: Expressions
    matches: tuple[Mapping[str, Any], ...]
    params: tuple[tuple[str, bytes], ...] | None
    severity: Severity
    may_fail: bool
    policy: Resource


class Bindings:
    """Policies in CEL with their bindings, asked as a Rego engine is: a query is a binding's, an input a resource."""

    def __init__(self, bound: Sequence[Bound], resources: Sequence[Resource], jobs: int) -> None:
        self._bound = {one.name: one for one in bound}
        self._namespaces = Namespaces(resources)
        self._plurals = plurals(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "cel", ""

    def asked(self) -> dict[str, Asked]:
        """The bindings as rules."""
        return {query: Asked(query, one.severity, "", (), _outline(one)) for query, one in self._bound.items()}

    def chooses(self, query: str, resource: Resource) -> bool:
        """Whether a binding judges a resource.

        Raises:
            Unknown: that hangs on what the repository does not hold.
        """
        one = self._bound[query]
        if one.expressions.reads("namespaceObject") and resource.ref.namespace:
            self._namespaces.object(resource.ref.namespace)
        plural = self._plurals.get((resource.ref.group, resource.ref.kind)) or plural_of(resource.ref.kind)
        return all(_matches(match, resource, plural, self._namespaces) for match in one.matches)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        answers = []
        for query, one in self._bound.items():
            rows = [(number, row) for number, (json, queries) in enumerate(inputs) if query in queries
                    for row in self._inputs(one, json)]  # fmt: skip
            outcomes = one.expressions.judge([row for _, row in rows], self._jobs)
            said: dict[int, tuple[list[str], str]] = {}
            for (number, _), outcome in zip(rows, outcomes, strict=True):
                messages, error = said.setdefault(number, ([], ""))
                messages.extend(outcome.messages)
                said[number] = (messages, error or outcome.error)
            for number, (messages, error) in said.items():
                if messages or (error and not one.may_fail):
                    answers.append(Answer(number, query, list(dict.fromkeys(messages)), "" if messages else error))
        return sorted(answers, key=lambda answer: (answer.input, list(inputs[answer.input][1]).index(answer.query)))

    def _inputs(self, one: Bound, json: bytes) -> Iterator[dict[str, bytes]]:
        ref = ref_of(orjson.loads(json))
        row = {"object": json, "oldObject": b"null", "request": admission_request.request_of(ref) + b"}"}
        if one.expressions.reads("namespaceObject"):
            held = self._namespaces.object(ref.namespace) if ref.namespace else None
            row["namespaceObject"] = orjson.dumps(held)
        if one.params is None:
            yield row
        for namespace, params in one.params or ():
            if not namespace or namespace == ref.namespace:
                yield {**row, "params": params}

    def close(self) -> None:
        """Nothing was started."""


def _outline(one: Bound) -> Module:
    return Module(one.policy.origin.file, one.expressions.text.replace("object.", "input."), "", (), False, {})


def read(policy: Resource, binding: Resource, resources: Sequence[Resource]) -> Bound:
    """A policy as a binding puts it to work.

    Raises:
        PolicyError: one of both is malformed, or asks for what is not known here.
    """
    spec, bound = policy.value.get("spec") or {}, binding.value.get("spec") or {}
    expressions = Expressions(spec)
    if expressions.reads("authorizer"):
        raise PolicyError("it asks the API server's `authorizer`, which only the cluster can")
    matches = [spec.get("matchConstraints") or {}, bound.get("matchResources") or {}]
    for match in matches:
        for field in match.keys() - MATCH_FIELDS:
            raise PolicyError(f"its match knows no `{field}`; there are {', '.join(sorted(MATCH_FIELDS))}")
        for field in ("namespaceSelector", "objectSelector"):
            selects(match.get(field) or {}, {}, field)
    if not matches[0].get("resourceRules"):
        raise PolicyError("`matchConstraints.resourceRules` is missing, so it would judge nothing")
    actions = selectors.texts(bound.get("validationActions"), "validationActions")
    unknown = [action for action in actions if action not in SEVERITY]
    if unknown or not actions:
        raise PolicyError(
            f"`validationActions` must be some of {', '.join(SEVERITY)}{f', not {unknown[0]}' if unknown else ''}"
        )
    severity = min((SEVERITY[action] for action in actions), key=list(SEVERITY.values()).index)
    params = _params(spec, bound, resources) if spec.get("paramKind") else None
    name = f"{POLICY}/{binding.ref.name}"
    return Bound(name, expressions, tuple(matches), params, severity, spec.get("failurePolicy") == "Ignore", policy)


def _params(
    spec: Mapping[str, Any], bound: Mapping[str, Any], resources: Sequence[Resource]
) -> tuple[tuple[str, bytes], ...]:
    """The objects that a binding takes its parameters from, each with the namespace whose resources it is for."""
    kind, named = spec["paramKind"], bound.get("paramRef") or {}
    there = [
        one for one in resources
        if (one.ref.api_version, one.ref.kind) == (at(kind, ("apiVersion",)), at(kind, ("kind",)))
        and (not named.get("name") or one.ref.name == named["name"])
        and (not named.get("namespace") or one.ref.namespace == named["namespace"])
        and selects(named.get("selector") or {}, labels_of(one.value), "paramRef.selector")
    ]  # fmt: skip
    if not there:
        raise PolicyError(f"its parameters ({at(kind, ('kind',))} {named.get('name', '')}) are not in the repository")
    is_own = not named.get("namespace")
    return tuple((one.ref.namespace if is_own else "", one.json) for one in there)


def _matches(match: Mapping[str, Any], resource: Resource, plural: str, namespaces: Namespaces) -> bool:
    rules, excluded = match.get("resourceRules"), match.get("excludeResourceRules") or []
    exact = match.get("matchPolicy") == "Exact"
    if rules and not any(_rule(rule, resource, plural, exact) for rule in rules):
        return False
    if any(_rule(rule, resource, plural, exact) for rule in excluded):
        return False
    wanted = match.get("objectSelector") or {}
    if wanted and not selects(wanted, labels_of(resource.value), "objectSelector"):
        return False
    homes = match.get("namespaceSelector") or {}
    return not homes or namespaces.selected(homes, resource, "namespaceSelector")


def _rule(rule: Mapping[str, Any], resource: Resource, plural: str, exact: bool) -> bool:
    """Whether one rule takes in a resource on its creation."""
    ref = resource.ref
    version = ref.api_version.rpartition("/")[2]
    if not _listed(rule, "operations", admission_request.OPERATION) or not _listed(rule, "apiGroups", ref.group):
        return False
    if exact and not _listed(rule, "apiVersions", version):
        return False
    names = rule.get("resourceNames")
    if names and ref.name not in names:
        return False
    if rule.get("scope") not in (None, "", "*") and (rule["scope"] == "Namespaced") != bool(ref.namespace):
        return False
    return any(name in ("*", "*/*", plural) for name in rule.get("resources") or [])


def _listed(rule: Mapping[str, Any], field: str, word: str) -> bool:
    return any(item in ("*", word) for item in rule.get(field) or [])


def plurals(resources: Sequence[Resource]) -> dict[tuple[str, str], str]:
    """The plural names that CRDs of the repository give their kinds, by (group, kind)."""
    known = {}
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            spec = resource.value.get("spec")
            names = at(spec, ("names",))
            known[str(at(spec, ("group",))), str(at(names, ("kind",)))] = str(at(names, ("plural",)))
    return known


def plural_of(kind: str) -> str:
    """The plural name of a kind, as Kubernetes forms it for its own."""
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy")):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"
