"""Evaluates constraints of OPA Gatekeeper on admission requests, with a Rego engine or with CEL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel_policies import CelPolicy, check_compilation, has_marker
from gatekeeper.engines.admission.model import Constraint
from gatekeeper.engines.admission.policy_fields import read_mappings
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.evaluation import start_engine
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RegoModule, RuleQuery
from gatekeeper.model import Resource, build_ref, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import QueryResult, RegoEngine
from gatekeeper.upstream.cel_evaluation import CelBatch, CelParameters, CelRow, CelUse, evaluate_batch
from gatekeeper.upstream.client import open_client

# What templates in CEL read besides the variables of Kubernetes.
TEMPLATE_VARIABLES = {
    "anyObject": 'request.operation == "DELETE" && object == null ? oldObject : object',
    "params": "has(params.spec) && has(params.spec.parameters) ? params.spec.parameters : null",
}


class ConstraintRequest(NamedTuple):
    """A request to evaluate one constraint.

    Attributes:
        input_index: the number of the input that the request is for.
        query: the query of the constraint.
        request: the admission request as JSON.
        json: the object of the request as JSON.
    """

    input_index: int
    query: str
    request: bytes
    json: bytes


def build_inventory(resources: Iterable[Resource]) -> dict[str, Any]:
    """Builds `data.inventory`: the resources that templates may read."""
    inventory: dict[str, Any] = {"cluster": {}, "namespace": {}}
    for resource in resources:
        ref = resource.ref
        scope = inventory["namespace"].setdefault(ref.namespace, {}) if ref.namespace else inventory["cluster"]
        scope.setdefault(ref.api_version, {}).setdefault(ref.kind, {})[ref.name] = resource.value
    return inventory


class ConstraintEvaluator:
    """Constraints, evaluated like a Rego engine: a query is a constraint, an input a resource.

    Args:
        resources: the resources that templates may read.

    Raises:
        PolicyError: a template does not compile.
        ToolError: OPA cannot be started.
    """

    def __init__(
        self, constraints: Sequence[Constraint], resources: Sequence[Resource], config: Config, jobs: int
    ) -> None:
        # Overlays may give a constraint other parameters: the number keeps them apart.
        self._constraints = {
            f"{constraint.rule_name} {number}": constraint for number, constraint in enumerate(constraints)
        }
        self._namespaces = NamespaceIndex(resources)
        self._client = open_client(config.kubernetes)
        templates = {constraint.template.kind: constraint.template for constraint in constraints}
        self._cel_policies = {
            kind: CelPolicy(kind, _build_spec(template.cel_source), is_in_api=False)
            for kind, template in templates.items()
            if template.cel_source is not None
        }
        for policy in self._cel_policies.values():
            check_compilation(self._client, policy)
        rego_templates = [template for template in templates.values() if template.modules]
        modules = tuple(module for template in rego_templates for module in template.modules)
        needs_inventory = any(template.is_inventory_needed for template in rego_templates)
        self.policies = PolicySet(modules, {"inventory": build_inventory(resources)} if needs_inventory else {})
        rules = {
            template.query: RuleQuery(template.query, "error", "", (), template.modules[0])
            for template in rego_templates
        }
        self._engine: RegoEngine | None = (
            start_engine(config, QueryPlan(rules, self.policies), jobs) if rego_templates else None
        )

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rule of each constraint, by query."""
        return {
            query: RuleQuery(
                constraint.rule_name, constraint.severity, _build_hint(constraint), (), self._build_outline(constraint)
            )
            for query, constraint in self._constraints.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a constraint applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        """
        return self._constraints[query].match.is_match(resource, self._namespaces)

    def _build_outline(self, constraint: Constraint) -> RegoModule:
        """Builds text that reads the fields of the constraint from `input`, for tracing the fields of findings."""
        if constraint.template.modules:
            main = constraint.template.modules[0]
            text = "\n".join(module.text for module in constraint.template.modules)
            return main._replace(text=text.replace("input.review.object", "input"))
        text = self._cel_policies[constraint.template.kind].text
        text = text.replace("variables.anyObject.", "input.").replace("object.", "input.")
        return RegoModule(
            path=constraint.resource.origin.file, text=text, package="", rules=(), is_v0=False, metadata={}
        )

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return self._engine.name if self._engine else ("cel", "")

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        requests: list[ConstraintRequest] = []
        for number, (json, queries) in enumerate(inputs):
            request = admission_request.build_request(build_ref(orjson.loads(json)), json) if queries else b""
            requests.extend(ConstraintRequest(number, query, request, json) for query in queries)
        return self.evaluate_requests(requests)

    def evaluate_requests(self, requests: Sequence[ConstraintRequest]) -> list[QueryResult]:
        """Evaluates constraints on requests, and returns the results in the order of the requests."""
        results = [*self._evaluate_rego(requests), *self._evaluate_cel(requests)]
        order = {(request.input_index, request.query): place for place, request in enumerate(requests)}
        return sorted(results, key=lambda result: order[result.input_index, result.query])

    def _evaluate_rego(self, requests: Sequence[ConstraintRequest]) -> list[QueryResult]:
        rego_requests = [request for request in requests if self._constraints[request.query].template.modules]
        if not rego_requests or self._engine is None:
            return []
        inputs: list[tuple[bytes, Sequence[str]]] = []
        for request in rego_requests:
            constraint = self._constraints[request.query]
            json = b'{"parameters":' + constraint.parameters + b',"review":' + request.request + b"}"
            inputs.append((json, (constraint.template.query,)))
        results = []
        for result in self._engine.evaluate(inputs):
            request = rego_requests[result.input_index]
            results.append(result._replace(input_index=request.input_index, query=request.query))
        return results

    def _evaluate_cel(self, requests: Sequence[ConstraintRequest]) -> list[QueryResult]:
        policies = {kind: number for number, kind in enumerate(self._cel_policies)}
        parameters: dict[bytes, int] = {}
        cel_requests, rows = [], []
        for request in requests:
            constraint = self._constraints[request.query]
            if constraint.template.kind in policies:
                number = parameters.setdefault(_build_parameters(constraint), len(parameters))
                cel_requests.append(request)
                rows.append(CelRow(request.request, -1, [CelUse(policies[constraint.template.kind], number)]))
        sources = [policy.source for policy in self._cel_policies.values()]
        batch = CelBatch(sources, [CelParameters(json) for json in parameters], (), False, rows)
        results = []
        for request, result in zip(cel_requests, evaluate_batch(self._client, batch), strict=True):
            unknown = has_marker(request.json)
            messages = dict.fromkeys(one.message for one in result.refusals[0] if not (one.is_error and unknown))
            errors = [one.message for one in result.refusals[0] if one.is_error and unknown]
            error = "" if messages else result.error or "; ".join(errors)
            if messages or error:
                results.append(QueryResult(request.input_index, request.query, list(messages), error))
        return results

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""
        if self._engine:
            self._engine.close()


def _build_spec(source: Mapping[str, Any]) -> dict[str, Any]:
    """Builds the policy of a template in CEL: constraints are its parameters.

    Source: OPA Gatekeeper's frameworks `constraint/pkg/client/drivers/k8scel`.
    """
    variables = [{"name": name, "expression": text} for name, text in TEMPLATE_VARIABLES.items()]
    conditions = source.get("matchConditions") or source.get("matchCondition") or []
    return {
        **source,
        "paramKind": {"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Constraint"},
        "variables": [*variables, *read_mappings(source, "variables")],
        "matchConditions": conditions,
    }


def _build_parameters(constraint: Constraint) -> bytes:
    """The constraint with the parameters that its template's schema completes."""
    value = constraint.resource.value
    value["spec"] = {**(value.get("spec") or {}), "parameters": orjson.Fragment(constraint.parameters)}
    return orjson.dumps(value)


def _build_hint(constraint: Constraint) -> str:
    """The first sentence of the template's description."""
    description = get_field(constraint.template.resource.value, ("metadata", "annotations", "description"))
    return " ".join(description.split()).partition(". ")[0] if isinstance(description, str) else ""
