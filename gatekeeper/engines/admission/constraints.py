"""Gatekeeper's constraints: which template judges which resources with which parameters, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request, constraint_match
from gatekeeper.engines.admission.cel_policies import Expressions
from gatekeeper.engines.admission.constraint_match import Match
from gatekeeper.engines.admission.constraint_templates import Template
from gatekeeper.engines.admission.selectors import Namespaces
from gatekeeper.engines.rego import evaluation
from gatekeeper.engines.rego.loader import Module, PolicySet
from gatekeeper.engines.rego.query_plan import Asked, Plan
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, Severity, at
from gatekeeper.protocols import Answer, RegoEngine
from gatekeeper.render.manifests import ref_of

GROUP = "constraints.gatekeeper.sh"
SEVERITY: dict[str, Severity] = {"deny": "error", "warn": "warning", "dryrun": "info"}
# The enforcement points that this gate stands for.
POINTS = {"*", "validation.gatekeeper.sh", "gator.gatekeeper.sh"}


class Constraint(NamedTuple):
    """A constraint with its template.

    Attributes:
        parameters: JSON.
    """

    template: Template
    name: str
    match: Match
    parameters: bytes
    severity: Severity
    resource: Resource

    @property
    def name_of_rule(self) -> str:
        """Its name among all policies, which its findings have."""
        return f"{self.template.kind}/{self.name}"


def is_constraint(resource: Resource) -> bool:
    """Whether a resource is a constraint of some template."""
    return resource.ref.group == GROUP


def read(resource: Resource, known: Mapping[str, Template]) -> Constraint | None:
    """A constraint; None where none of its enforcement points is here.

    Raises:
        PolicyError: its template is not there, or it is malformed.
    """
    template = known.get(resource.ref.kind)
    if template is None:
        raise PolicyError(f"no ConstraintTemplate for {resource.ref.kind} is in the repository")
    spec = resource.value.get("spec") or {}
    if not isinstance(spec, dict):
        raise PolicyError("`spec` must be a mapping")
    severity = _severity(spec)
    if severity is None:
        return None
    chosen = constraint_match.read(spec.get("match"))
    parameters = spec.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise PolicyError("`parameters` must be a mapping")
    return Constraint(template, resource.ref.name, chosen, orjson.dumps(parameters), severity, resource)


def _severity(spec: Mapping[str, Any]) -> Severity | None:
    action = spec.get("enforcementAction") or "deny"
    if action != "scoped":
        return _action(action)
    listed = spec.get("scopedEnforcementActions")
    if not isinstance(listed, list) or not listed:
        raise PolicyError("`enforcementAction: scoped` needs a list `scopedEnforcementActions`")
    here = [
        _action(at(entry, ("action",)))
        for entry in listed
        if any(at(point, ("name",)) in POINTS for point in at(entry, ("enforcementPoints",)) or [])
    ]
    return next((severity for severity in SEVERITY.values() if severity in here), None)


def _action(word: Any) -> Severity:
    if word not in SEVERITY:
        raise PolicyError(f"`enforcementAction` is {word!r}; there are {', '.join(SEVERITY)} and scoped")
    return SEVERITY[word]


def inventory(resources: Iterable[Resource]) -> dict[str, Any]:
    """What templates may read of other resources: `data.inventory`."""
    known: dict[str, Any] = {"cluster": {}, "namespace": {}}
    for resource in resources:
        ref = resource.ref
        home = known["namespace"].setdefault(ref.namespace, {}) if ref.namespace else known["cluster"]
        home.setdefault(ref.api_version, {}).setdefault(ref.kind, {})[ref.name] = resource.value
    return known


class Constraints:
    """Constraints, ready to be asked as a Rego engine is: a query is a constraint's, an input a resource.

    Raises:
        PolicyError: a template does not compile.
    """

    def __init__(
        self, constraints: Sequence[Constraint], others: Sequence[Resource], config: Config, jobs: int
    ) -> None:
        # Overlays may bring a constraint with other parameters: each judges.
        self._constraints = {f"{one.name_of_rule} {number}": one for number, one in enumerate(constraints)}
        self._namespaces = Namespaces(others)
        self._jobs = jobs
        kinds = {one.template.kind: one.template for one in constraints}
        self._cel = {kind: Expressions(_conditioned(one.cel)) for kind, one in kinds.items() if one.cel is not None}
        written = [one for one in kinds.values() if one.modules]
        modules = tuple(module for one in written for module in one.modules)
        needed = any(one.needs_inventory for one in written)
        self.policies = PolicySet(modules, {"inventory": inventory(others)} if needed else {})
        queries = {one.query: Asked(one.query, "error", "", (), one.modules[0]) for one in written}
        self._engine: RegoEngine | None = (
            evaluation.start(config, Plan(queries, self.policies), jobs) if written else None
        )

    def asked(self) -> dict[str, Asked]:
        """The constraints as rules."""
        return {
            query: Asked(one.name_of_rule, one.severity, _hint(one), (), self._outline(one))
            for query, one in self._constraints.items()
        }

    def chooses(self, query: str, resource: Resource) -> bool:
        """Whether a constraint judges a resource.

        Raises:
            Unknown: that hangs on a namespace which the repository does not hold.
        """
        return self._constraints[query].match.chooses(resource, self._namespaces)

    def _outline(self, one: Constraint) -> Module:
        """What the rule reads, as if the resource itself were its input."""
        if one.template.modules:
            first = one.template.modules[0]
            text = "\n".join(module.text for module in one.template.modules)
            return first._replace(text=text.replace("input.review.object", "input"))
        text = self._cel[one.template.kind].text
        text = text.replace("variables.anyObject.", "input.").replace("object.", "input.")
        return Module(one.resource.origin.file, text, "", (), False, {})

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return self._engine.name if self._engine else ("cel", "")

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        asked: list[tuple[int, str, bytes, bytes]] = []
        for number, (json, queries) in enumerate(inputs):
            request = admission_request.of(ref_of(orjson.loads(json)), json) if queries else b""
            asked.extend((number, query, request, json) for query in queries)
        return self.review(asked)

    def review(self, asked: Sequence[tuple[int, str, bytes, bytes]]) -> list[Answer]:
        """What constraints say of requests: (number, the constraint's query, request, object), the last two as JSON."""
        answers = [*self._by_rego(asked), *self._by_cel(asked)]
        order = {(number, query): place for place, (number, query, _, _) in enumerate(asked)}
        return sorted(answers, key=lambda answer: order[answer.input, answer.query])

    def _by_rego(self, asked: Sequence[tuple[int, str, bytes, bytes]]) -> list[Answer]:
        rows = [row for row in asked if self._constraints[row[1]].template.modules]
        if not rows or self._engine is None:
            return []
        inputs: list[tuple[bytes, Sequence[str]]] = []
        for _, query, request, _ in rows:
            one = self._constraints[query]
            inputs.append((b'{"parameters":' + one.parameters + b',"review":' + request + b"}", (one.template.query,)))
        found = self._engine.evaluate(inputs)
        return [answer._replace(input=rows[answer.input][0], query=rows[answer.input][1]) for answer in found]

    def _by_cel(self, asked: Sequence[tuple[int, str, bytes, bytes]]) -> list[Answer]:
        answers: list[Answer] = []
        for query in dict.fromkeys(row[1] for row in asked if self._constraints[row[1]].template.cel is not None):
            one = self._constraints[query]
            rows = [row for row in asked if row[1] == query]
            inputs = [_bindings(one.parameters, request, json) for _, _, request, json in rows]
            outcomes = self._cel[one.template.kind].judge(inputs, self._jobs)
            answers.extend(
                Answer(row[0], query, outcome.messages, outcome.error)
                for row, outcome in zip(rows, outcomes, strict=True)
                if outcome.messages or outcome.error
            )
        return answers

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`."""
        if self._engine:
            self._engine.close()


def _conditioned(source: Mapping[str, Any]) -> dict[str, Any]:
    """Gatekeeper names the conditions of its CEL in another way than Kubernetes."""
    return {**source, "matchConditions": source.get("matchConditions") or source.get("matchCondition") or []}


def _bindings(parameters: bytes, request: bytes, json: bytes) -> dict[str, bytes]:
    old = orjson.loads(request).get("oldObject")
    return {
        "object": json,
        "oldObject": orjson.dumps(old),
        "request": request,
        "params": parameters,
        "variables": b'{"params":' + parameters + b',"anyObject":' + json + b"}",
    }


def _hint(one: Constraint) -> str:
    """What the template says of itself, in its first sentence."""
    about = at(one.template.resource.value, ("metadata", "annotations", "description"))
    return " ".join(str(about).split()).partition(". ")[0] if isinstance(about, str) else ""
