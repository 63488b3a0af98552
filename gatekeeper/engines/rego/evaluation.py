"""The Rego engines' common half: which rule is asked of which resource, and what an answer means as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from gatekeeper.config import Config
from gatekeeper.engines.rego.embedded import RegorusEngine
from gatekeeper.engines.rego.field_tracer import FieldTracer, Suspect
from gatekeeper.engines.rego.query_plan import QueryPlan, RuleQuery
from gatekeeper.model import TERRAFORM_KIND, FieldPath, Finding, Gap, LocationPrecision, Resource
from gatekeeper.protocols import QueryResult, RegoEngine


def start_engine(config: Config, plan: QueryPlan, jobs: int) -> RegoEngine:
    """The engine that the repository chose, loaded."""
    if config.engine == "opa":
        from gatekeeper.engines.rego.opa import OpaEngine

        return OpaEngine(plan.policies, plan.queries, config)
    return RegorusEngine(plan.policies, config.policy_timeout, jobs)


def evaluate_resources(
    resources: Sequence[Resource],
    plan: QueryPlan,
    engine: RegoEngine,
    select_queries: Callable[[Resource], Sequence[str]] | None = None,
) -> tuple[list[Finding], list[Gap]]:
    """What the rules find; a rule that cannot be evaluated on a resource is a gap.

    Args:
        select_queries: the rules that judge a resource; None for those whose kinds it is of.
    """
    outcome = evaluate_rules(resources, plan, engine, select_queries)
    return [build_finding(draft) for draft in outcome.drafts], outcome.gaps


def evaluate_rules(
    resources: Sequence[Resource],
    plan: QueryPlan,
    engine: RegoEngine,
    select_queries: Callable[[Resource], Sequence[str]] | None = None,
) -> EvaluationResult:
    """What the rules say, each with the field that it says it of."""
    choose = select_queries or _build_kind_selector(plan)
    inputs: list[tuple[bytes, Sequence[str]]] = [(resource.json, choose(resource)) for resource in resources]
    drafts: list[DraftFinding] = []
    gaps: list[Gap] = []
    failed: set[int] = set()
    answers = engine.evaluate(inputs)
    excepted = _find_exceptions(answers, plan)
    for answer in answers:
        resource, rule = resources[answer.input_index], plan.rules.get(answer.query)
        if answer.error:
            name = rule.name if rule else answer.query
            reason = f"rule {name} could not be evaluated on {resource.ref}: {answer.error}"
            gaps.append(Gap(resource.origin.file, reason, is_fatal=True))
            failed.add(answer.input_index)
        elif rule and _strip_severity_prefix(answer.query) in excepted.get(
            (answer.input_index, rule.module.package), ()
        ):
            gaps.append(Gap(resource.origin.file, f"rule {rule.name} makes an exception of {resource.ref}"))
            failed.add(answer.input_index)
        elif rule:
            drafts.extend(_build_drafts(answer, resource, rule))
    tracer = FieldTracer(engine, {query: rule.module for query, rule in plan.rules.items()})
    lost = [draft for draft in drafts if not draft.location_precision]
    suspects = [Suspect(draft.query, draft.resource.value, draft.message, draft.message_count) for draft in lost]
    traced = iter(tracer.trace(suspects))
    return EvaluationResult(
        [draft if draft.location_precision else draft.with_field_path(next(traced)) for draft in drafts], gaps, failed
    )


def _build_kind_selector(plan: QueryPlan) -> Callable[[Resource], Sequence[str]]:
    known: dict[str, tuple[str, ...]] = {}

    def choose(resource: Resource) -> Sequence[str]:
        kind = resource.ref.kind
        if kind not in known:
            rules = plan.rules.items()
            # Rules for all kinds are for all that a cluster takes.
            judging = tuple(
                query for query, rule in rules if kind in rule.kinds or (not rule.kinds and kind != TERRAFORM_KIND)
            )
            known[kind] = (*judging, *plan.exception_queries.values())
        return known[kind]

    return choose


def _find_exceptions(answers: Sequence[QueryResult], plan: QueryPlan) -> dict[tuple[int, str], set[str]]:
    """The rules that are not to judge an input: by input and package, their names without `deny_` and the like.

    Source: conftest `policy/engine.go`, which asks `data.<package>.exception[_][_] == "<name>"`.
    """
    packages = {query: package for package, query in plan.exception_queries.items()}
    excepted: dict[tuple[int, str], set[str]] = {}
    for answer in answers:
        if answer.query in packages and not answer.error:
            lists = answer.value.values() if isinstance(answer.value, dict) else answer.value
            names = excepted.setdefault((answer.input_index, packages[answer.query]), set())
            for listed in lists if isinstance(lists, Iterable) else ():
                names.update(name for name in (listed if isinstance(listed, list) else ()) if isinstance(name, str))
    return excepted


def _strip_severity_prefix(query: str) -> str:
    """A rule's name without what tells its severity; nothing of a plain `deny`."""
    return query.rpartition(".")[2].partition("_")[2]


class DraftFinding(NamedTuple):
    """What a rule said of a resource, with the field where it named one or was traced to one.

    Attributes:
        resource_index: the resource's place among those that were asked.
        message_count: how many things the rule said of it.
        location_precision: how the field is known; empty as long as it is to be traced.
    """

    resource_index: int
    query: str
    rule: RuleQuery
    resource: Resource
    message: str
    field_path: FieldPath | None
    message_count: int
    location_precision: LocationPrecision | Literal[""]

    def with_field_path(self, field_path: FieldPath | None) -> DraftFinding:
        """The same, with the field that it was traced to."""
        return self._replace(field_path=field_path, location_precision="resource" if field_path is None else "traced")


class EvaluationResult(NamedTuple):
    """What rules said, what could not be judged, and the places of resources that this is of."""

    drafts: list[DraftFinding]
    gaps: list[Gap]
    failed_indexes: set[int]


def _build_drafts(answer: QueryResult, resource: Resource, rule: RuleQuery) -> Iterator[DraftFinding]:
    items = answer.value if isinstance(answer.value, list) else [answer.value]
    for item in items:
        if item not in (None, False, {}):
            message = item.get("msg") if isinstance(item, dict) else item
            message = message if isinstance(message, str) else f"{rule.name} says {message!r}"
            path = _parse_field_path(item)
            placed: LocationPrecision | Literal[""] = "field" if path is not None else ""
            yield DraftFinding(answer.input_index, answer.query, rule, resource, message, path, len(items), placed)


def build_finding(draft: DraftFinding) -> Finding:
    """A draft as it is reported."""
    rule, path = draft.rule, draft.field_path
    place = draft.resource.origin.find_location(path or ())
    placed: LocationPrecision = draft.location_precision or "resource"
    return Finding(rule.name, rule.severity, draft.message, place, draft.resource.ref, path, rule.hint, placed)


def _parse_field_path(item: Any) -> FieldPath | None:
    """The field that a rule names: a list of steps, or `field`/`path` as dotted text."""
    if not isinstance(item, dict):
        return None
    named = item.get("field", item.get("path"))
    if isinstance(named, list) and all(isinstance(step, str | int) for step in named):
        return tuple(int(step) if isinstance(step, float) else step for step in named)
    if isinstance(named, str) and named:
        words = named.replace("[", ".").replace("]", "").split(".")
        return tuple(int(word) if word.isdigit() else word for word in words if word)
    return None
