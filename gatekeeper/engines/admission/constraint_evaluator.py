"""Evaluates constraints of OPA Gatekeeper on admission requests, with a Rego engine or with CEL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.model import Constraint
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.evaluation import start_engine
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RegoModule, RuleQuery
from gatekeeper.model import Resource, build_ref, get_field
from gatekeeper.protocols import QueryResult, RegoEngine


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
        self._jobs = jobs
        templates = {constraint.template.kind: constraint.template for constraint in constraints}
        self._cel_policies = {
            kind: CelPolicy(_normalize_conditions(template.cel_source))
            for kind, template in templates.items()
            if template.cel_source is not None
        }
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
        requests_by_query: dict[str, list[ConstraintRequest]] = {}
        for request in requests:
            if self._constraints[request.query].template.cel_source is not None:
                requests_by_query.setdefault(request.query, []).append(request)
        results: list[QueryResult] = []
        for query, cel_requests in requests_by_query.items():
            constraint = self._constraints[query]
            inputs = [_build_bindings(constraint.parameters, request) for request in cel_requests]
            cel_results = self._cel_policies[constraint.template.kind].evaluate(inputs, self._jobs)
            results.extend(
                QueryResult(request.input_index, query, cel_result.messages, cel_result.error)
                for request, cel_result in zip(cel_requests, cel_results, strict=True)
                if cel_result.messages or cel_result.error
            )
        return results

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""
        if self._engine:
            self._engine.close()


def _normalize_conditions(source: Mapping[str, Any]) -> dict[str, Any]:
    """Renames `matchCondition`, as OPA Gatekeeper calls the field, to `matchConditions`, as Kubernetes does."""
    return {**source, "matchConditions": source.get("matchConditions") or source.get("matchCondition") or []}


def _build_bindings(parameters: bytes, request: ConstraintRequest) -> dict[str, bytes]:
    return {
        "object": request.json,
        "oldObject": orjson.dumps(orjson.loads(request.request).get("oldObject")),
        "request": request.request,
        "params": parameters,
        "variables": b'{"params":' + parameters + b',"anyObject":' + request.json + b"}",
    }


def _build_hint(constraint: Constraint) -> str:
    """The first sentence of the template's description."""
    description = get_field(constraint.template.resource.value, ("metadata", "annotations", "description"))
    return " ".join(description.split()).partition(". ")[0] if isinstance(description, str) else ""
