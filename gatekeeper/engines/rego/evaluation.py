"""Evaluates the rules of a plan on resources with any engine, and traces the fields of the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from gatekeeper.config import Config
from gatekeeper.engines import secret_masks
from gatekeeper.engines.rego.field_tracer import FieldTracer
from gatekeeper.engines.rego.model import QueryPlan
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.engines.rego.results import DraftFinding, EvaluationResult, build_drafts, build_finding
from gatekeeper.engines.rego.suspects import Suspect
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.protocols import QueryResult, RegoEngine

# Of one rule about one resource; a rule with more is located at the resource.
MAX_TRACED_MESSAGES = 500
# Returns the queries to evaluate on a resource.
QuerySelector = Callable[[Resource], Sequence[str]]


def start_engine(config: Config, plan: QueryPlan, jobs: int) -> RegoEngine:
    """Loads the policies of a plan into the engine of the config; the caller closes it.

    Raises:
        PolicyError: a policy does not compile or is not supported.
        ToolError: OPA cannot be started.
    """
    if config.engine == "opa":
        # Imported here because loading the HTTP client takes longer than most checks.
        from gatekeeper.engines.rego.opa.engine import OpaEngine

        return OpaEngine(plan.policies, plan.queries, config)
    return RegorusEngine(plan.policies, config.policy_timeout, jobs)


def evaluate_resources(
    resources: Sequence[Resource], plan: QueryPlan, engine: RegoEngine, select_queries: QuerySelector | None = None
) -> tuple[list[Finding], list[Gap]]:
    """Evaluates rules on resources; a rule that cannot be evaluated on a resource is a fatal gap.

    Args:
        select_queries: selects the rules for a resource; None for the rules of its kind.
    """
    result = evaluate_rules(resources, plan, engine, select_queries)
    return [build_finding(draft) for draft in result.drafts], result.gaps


def evaluate_rules(
    resources: Sequence[Resource], plan: QueryPlan, engine: RegoEngine, select_queries: QuerySelector | None = None
) -> EvaluationResult:
    """Like `evaluate_resources`, with drafts instead of findings, for the cache."""
    if select_queries is None:
        select_queries = _KindSelector(plan)
    answers = engine.evaluate([(resource.json, select_queries(resource)) for resource in resources])
    result = _sort_answers(answers, resources, plan)
    return result._replace(drafts=list(map(_hide_values, _trace_fields(result.drafts, plan, engine))))


def _hide_values(draft: DraftFinding) -> DraftFinding:
    """The draft without the values of a Secret that it is about: a rule may repeat a value that it refuses."""
    if not secret_masks.is_secret(draft.resource):
        return draft
    message = secret_masks.hide_values(draft.message, draft.resource, draft.rule.module.text)
    return draft._replace(message=message)


def _sort_answers(answers: Sequence[QueryResult], resources: Sequence[Resource], plan: QueryPlan) -> EvaluationResult:
    """Builds a draft or a gap of each answer."""
    result = EvaluationResult([], [], set())
    exceptions = _find_exceptions(answers, plan)
    for answer in answers:
        resource, rule = resources[answer.input_index], plan.rules.get(answer.query)
        if answer.error:
            name = rule.name if rule else answer.query
            error = secret_masks.hide_values(answer.error, resource, rule.module.text if rule else "")
            if rule and rule.module.path not in error:
                error = f"{rule.module.path}: {error}"
            reason = f"rule {name} could not be evaluated on {resource.ref}: {error}"
            result.gaps.append(Gap(resource.origin.file, reason, is_fatal=True))
            result.failed_indexes.add(answer.input_index)
        elif rule and _strip_severity_prefix(answer.query) in exceptions.get(
            (answer.input_index, rule.module.package), ()
        ):
            reason = f"rule {rule.name} makes an exception for {resource.ref}"
            result.gaps.append(Gap(resource.origin.file, reason))
            result.failed_indexes.add(answer.input_index)
        elif rule:
            result.drafts.extend(build_drafts(answer, resource, rule))
    return result


def _is_untraceable(draft: DraftFinding) -> bool:
    return not draft.location_precision and draft.message_count > MAX_TRACED_MESSAGES


def _trace_fields(drafts: Sequence[DraftFinding], plan: QueryPlan, engine: RegoEngine) -> list[DraftFinding]:
    """Traces the fields of the drafts whose rules name none."""
    modules = {query: rule.module for query, rule in plan.rules.items()}
    tracer = FieldTracer(engine, modules, plan.policies.modules)
    # A rule with so many messages about one resource is a mistake in the rule, and each would take its own time.
    drafts = [draft.with_traced_path(None) if _is_untraceable(draft) else draft for draft in drafts]
    untraced = [draft for draft in drafts if not draft.location_precision]
    suspects = [
        Suspect(draft.query, value, draft.message, draft.message_count)
        for resource, same in groupby(untraced, key=lambda draft: draft.resource)
        for value in [resource.value]
        for draft in same
    ]
    paths = iter(tracer.trace(suspects))
    return [draft if draft.location_precision else draft.with_traced_path(next(paths)) for draft in drafts]


class _KindSelector:
    """Selects the rules for the kind of a resource, and the queries for exceptions."""

    def __init__(self, plan: QueryPlan) -> None:
        self._plan = plan
        self._queries_by_kind: dict[str, tuple[str, ...]] = {}

    def __call__(self, resource: Resource) -> Sequence[str]:
        kind = resource.ref.kind
        if kind not in self._queries_by_kind:
            rules = (query for query, rule in self._plan.rules.items() if rule.is_for_kind(kind))
            self._queries_by_kind[kind] = (*rules, *self._plan.exception_queries.values())
        return self._queries_by_kind[kind]


def _find_exceptions(answers: Sequence[QueryResult], plan: QueryPlan) -> dict[tuple[int, str], set[str]]:
    """Finds the rules that must not apply to an input: their names without `deny_` or similar, by input and package.

    Source: conftest `policy/engine.go`, which evaluates `data.<package>.exception[_][_] == "<name>"`.
    """
    packages = {query: package for package, query in plan.exception_queries.items()}
    exceptions: dict[tuple[int, str], set[str]] = {}
    for answer in answers:
        if answer.query in packages and not answer.error:
            lists = answer.value.values() if isinstance(answer.value, dict) else answer.value
            names = exceptions.setdefault((answer.input_index, packages[answer.query]), set())
            for entries in lists if isinstance(lists, Iterable) else ():
                names.update(name for name in (entries if isinstance(entries, list) else ()) if isinstance(name, str))
    return exceptions


def _strip_severity_prefix(query: str) -> str:
    """The name of a rule without its severity: `owner` for `deny_owner`, empty for a plain `deny`."""
    return query.rpartition(".")[2].partition("_")[2]
