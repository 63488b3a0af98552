"""Gatekeeper's constraints: which template judges which resources with which parameters, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request, constraint_match
from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.constraint_match import ConstraintMatch
from gatekeeper.engines.admission.constraint_templates import ConstraintTemplate
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego import evaluation
from gatekeeper.engines.rego.loader import PolicySet, RegoModule
from gatekeeper.engines.rego.query_plan import QueryPlan, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, Severity, get_field
from gatekeeper.protocols import QueryResult, RegoEngine
from gatekeeper.render.manifests import build_ref

GROUP = "constraints.gatekeeper.sh"
SEVERITY_BY_ACTION: dict[str, Severity] = {"deny": "error", "warn": "warning", "dryrun": "info"}
# The enforcement points that this gate stands for.
ENFORCEMENT_POINTS = {"*", "validation.gatekeeper.sh", "gator.gatekeeper.sh"}


class Constraint(NamedTuple):
    """A constraint with its template.

    Attributes:
        parameters: JSON.
    """

    template: ConstraintTemplate
    name: str
    match: ConstraintMatch
    parameters: bytes
    severity: Severity
    resource: Resource

    @property
    def rule_name(self) -> str:
        """Its name among all policies, which its findings have."""
        return f"{self.template.kind}/{self.name}"


def is_constraint(resource: Resource) -> bool:
    """Whether a resource is a constraint of some template."""
    return resource.ref.group == GROUP


def parse_constraint(resource: Resource, templates: Mapping[str, ConstraintTemplate]) -> Constraint | None:
    """A constraint; None where none of its enforcement points is here.

    Raises:
        PolicyError: its template is not there, or it is malformed.
    """
    template = templates.get(resource.ref.kind)
    if template is None:
        raise PolicyError(f"no ConstraintTemplate for {resource.ref.kind} is in the repository")
    spec = resource.value.get("spec") or {}
    if not isinstance(spec, dict):
        raise PolicyError("`spec` must be a mapping")
    severity = _parse_severity(spec)
    if severity is None:
        return None
    chosen = constraint_match.parse_match(spec.get("match"))
    parameters = spec.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise PolicyError("`parameters` must be a mapping")
    return Constraint(template, resource.ref.name, chosen, orjson.dumps(parameters), severity, resource)


def _parse_severity(spec: Mapping[str, Any]) -> Severity | None:
    action = spec.get("enforcementAction") or "deny"
    if action != "scoped":
        return _parse_action(action)
    listed = spec.get("scopedEnforcementActions")
    if not isinstance(listed, list) or not listed:
        raise PolicyError("`enforcementAction: scoped` needs a list `scopedEnforcementActions`")
    here = [
        _parse_action(get_field(entry, ("action",)))
        for entry in listed
        if any(
            get_field(point, ("name",)) in ENFORCEMENT_POINTS
            for point in get_field(entry, ("enforcementPoints",)) or []
        )
    ]
    return next((severity for severity in SEVERITY_BY_ACTION.values() if severity in here), None)


def _parse_action(action: Any) -> Severity:
    if action not in SEVERITY_BY_ACTION:
        raise PolicyError(f"`enforcementAction` is {action!r}; there are {', '.join(SEVERITY_BY_ACTION)} and scoped")
    return SEVERITY_BY_ACTION[action]


def build_inventory(resources: Iterable[Resource]) -> dict[str, Any]:
    """What templates may read of other resources: `data.inventory`."""
    known: dict[str, Any] = {"cluster": {}, "namespace": {}}
    for resource in resources:
        ref = resource.ref
        home = known["namespace"].setdefault(ref.namespace, {}) if ref.namespace else known["cluster"]
        home.setdefault(ref.api_version, {}).setdefault(ref.kind, {})[ref.name] = resource.value
    return known


class ConstraintEvaluator:
    """Constraints, ready to be asked as a Rego engine is: a query is a constraint's, an input a resource.

    Raises:
        PolicyError: a template does not compile.
    """

    def __init__(
        self, constraints: Sequence[Constraint], resources: Sequence[Resource], config: Config, jobs: int
    ) -> None:
        # Overlays may bring a constraint with other parameters: each judges.
        self._constraints = {f"{one.rule_name} {number}": one for number, one in enumerate(constraints)}
        self._namespaces = NamespaceIndex(resources)
        self._jobs = jobs
        kinds = {one.template.kind: one.template for one in constraints}
        self._cel_policies = {
            kind: CelPolicy(_normalize_conditions(one.cel_source))
            for kind, one in kinds.items()
            if one.cel_source is not None
        }
        written = [one for one in kinds.values() if one.modules]
        modules = tuple(module for one in written for module in one.modules)
        needed = any(one.is_inventory_needed for one in written)
        self.policies = PolicySet(modules, {"inventory": build_inventory(resources)} if needed else {})
        queries = {one.query: RuleQuery(one.query, "error", "", (), one.modules[0]) for one in written}
        self._engine: RegoEngine | None = (
            evaluation.start_engine(config, QueryPlan(queries, self.policies), jobs) if written else None
        )

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """The constraints as rules."""
        return {
            query: RuleQuery(one.rule_name, one.severity, _build_hint(one), (), self._build_outline(one))
            for query, one in self._constraints.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a constraint judges a resource.

        Raises:
            Unknown: that hangs on a namespace which the repository does not hold.
        """
        return self._constraints[query].match.is_match(resource, self._namespaces)

    def _build_outline(self, constraint: Constraint) -> RegoModule:
        """What the rule reads, as if the resource itself were its input."""
        if constraint.template.modules:
            first = constraint.template.modules[0]
            text = "\n".join(module.text for module in constraint.template.modules)
            return first._replace(text=text.replace("input.review.object", "input"))
        text = self._cel_policies[constraint.template.kind].text
        text = text.replace("variables.anyObject.", "input.").replace("object.", "input.")
        return RegoModule(constraint.resource.origin.file, text, "", (), False, {})

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return self._engine.name if self._engine else ("cel", "")

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        asked: list[tuple[int, str, bytes, bytes]] = []
        for number, (json, queries) in enumerate(inputs):
            request = admission_request.build_request(build_ref(orjson.loads(json)), json) if queries else b""
            asked.extend((number, query, request, json) for query in queries)
        return self.evaluate_requests(asked)

    def evaluate_requests(self, requests: Sequence[tuple[int, str, bytes, bytes]]) -> list[QueryResult]:
        """What constraints say of requests: (number, the constraint's query, request, object), the last two as JSON."""
        answers = [*self._evaluate_rego(requests), *self._evaluate_cel(requests)]
        order = {(number, query): place for place, (number, query, _, _) in enumerate(requests)}
        return sorted(answers, key=lambda answer: order[answer.input_index, answer.query])

    def _evaluate_rego(self, requests: Sequence[tuple[int, str, bytes, bytes]]) -> list[QueryResult]:
        rows = [row for row in requests if self._constraints[row[1]].template.modules]
        if not rows or self._engine is None:
            return []
        inputs: list[tuple[bytes, Sequence[str]]] = []
        for _, query, request, _ in rows:
            one = self._constraints[query]
            inputs.append((b'{"parameters":' + one.parameters + b',"review":' + request + b"}", (one.template.query,)))
        found = self._engine.evaluate(inputs)
        return [
            answer._replace(input_index=rows[answer.input_index][0], query=rows[answer.input_index][1])
            for answer in found
        ]

    def _evaluate_cel(self, requests: Sequence[tuple[int, str, bytes, bytes]]) -> list[QueryResult]:
        answers: list[QueryResult] = []
        for query in dict.fromkeys(
            row[1] for row in requests if self._constraints[row[1]].template.cel_source is not None
        ):
            one = self._constraints[query]
            rows = [row for row in requests if row[1] == query]
            inputs = [_build_bindings(one.parameters, request, json) for _, _, request, json in rows]
            outcomes = self._cel_policies[one.template.kind].evaluate(inputs, self._jobs)
            answers.extend(
                QueryResult(row[0], query, outcome.messages, outcome.error)
                for row, outcome in zip(rows, outcomes, strict=True)
                if outcome.messages or outcome.error
            )
        return answers

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""
        if self._engine:
            self._engine.close()


def _normalize_conditions(source: Mapping[str, Any]) -> dict[str, Any]:
    """Gatekeeper names the conditions of its CEL in another way than Kubernetes."""
    return {**source, "matchConditions": source.get("matchConditions") or source.get("matchCondition") or []}


def _build_bindings(parameters: bytes, request: bytes, json: bytes) -> dict[str, bytes]:
    old = orjson.loads(request).get("oldObject")
    return {
        "object": json,
        "oldObject": orjson.dumps(old),
        "request": request,
        "params": parameters,
        "variables": b'{"params":' + parameters + b',"anyObject":' + json + b"}",
    }


def _build_hint(constraint: Constraint) -> str:
    """What the template says of itself, in its first sentence."""
    about = get_field(constraint.template.resource.value, ("metadata", "annotations", "description"))
    return " ".join(str(about).split()).partition(". ")[0] if isinstance(about, str) else ""
