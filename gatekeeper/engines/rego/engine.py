"""The Rego engine: the policies of the library, of the repository and of policy bundles, on regorus or OPA."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.rego import evaluation, loader, results
from gatekeeper.engines.rego.model import PolicySet, QueryPlan
from gatekeeper.engines.rego.query_plan import build_plan, select_modules
from gatekeeper.engines.rego.result_cache import ResultCache
from gatekeeper.engines.rego.results import EvaluationResult
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Gap, Resource

STEP = "evaluating policies"
SCOPE: EngineScope = "resources"
# The embedded engine evaluates the rules on fewer resources in less time than the cache takes for a whole repository.
MIN_CACHED_RESOURCES = 100


def evaluate(context: EngineContext) -> EngineResult:
    """Evaluates all Rego rules that the config selects; policies that cannot be used are a fatal gap.

    Raises:
        UsageError: the config selects a rule that does not exist.
    """
    config, bundles = context.config, context.bundles
    plan = QueryPlan({}, PolicySet((), {}))
    try:
        own_policies = loader.load_policies(context.tree.root, config.policies, config.data)
        plan = build_plan(config, loader.merge_policy_sets([own_policies, *bundles.policy_sets]), context.cache)
        result = _evaluate_plan(plan, context)
    except (PolicyError, ToolError) as error:
        gap = Gap(CONFIG_FILE, f"no Rego policy could be evaluated: {error}", is_fatal=True)
        digests = [plan.policies.digest]
        result = EngineResult(gaps=[gap], engine=(config.engine, ""), policy_digests=digests, is_cacheable=False)
    return result._replace(gaps=[*result.gaps, *bundles.gaps], is_cacheable=result.is_cacheable and not bundles.gaps)


def _evaluate_plan(plan: QueryPlan, context: EngineContext) -> EngineResult:
    resources = [*context.targets, *context.terraform_targets]
    is_cacheable = not context.config.opa_url and not any(
        not module.is_shipped and loader.is_nondeterministic(module.text) for module in plan.policies.modules
    )
    is_worth_it = context.config.engine == "opa" or len(resources) >= MIN_CACHED_RESOURCES
    if context.cache and is_worth_it and is_cacheable and not plan.exception_queries:
        result, engine = _evaluate_with_cache(
            resources, plan, context, ResultCache(context.cache, plan, context.config)
        )
    else:
        result, engine = _run_engine(resources, plan, context)
    findings = [results.build_finding(draft) for draft in result.drafts]
    digests = [plan.policies.digest]
    return EngineResult(findings, result.gaps, engine=engine, policy_digests=digests, is_cacheable=is_cacheable)


def _evaluate_with_cache(
    resources: Sequence[Resource], plan: QueryPlan, context: EngineContext, cache: ResultCache
) -> tuple[EvaluationResult, tuple[str, str]]:
    """Evaluates the rules on the resources that the cache does not know, and merges both in the order of resources."""
    cached = EvaluationResult(cache.read_drafts(resources), [], set())
    numbers = cache.find_unknown(resources)
    if not numbers and cache.engine is not None:
        return cached, cache.engine
    unknown_resources = [resources[number] for number in numbers]
    fresh, engine = _run_engine(unknown_resources, plan, context)
    cache.record(unknown_resources, fresh, engine)
    fresh_drafts = [draft._replace(resource_index=numbers[draft.resource_index]) for draft in fresh.drafts]
    drafts = sorted([*cached.drafts, *fresh_drafts], key=lambda draft: draft.resource_index)
    return fresh._replace(drafts=drafts), engine


def _run_engine(
    resources: Sequence[Resource], plan: QueryPlan, context: EngineContext
) -> tuple[EvaluationResult, tuple[str, str]]:
    loaded = plan
    if context.config.engine != "opa":
        loaded = plan._replace(policies=select_modules(plan, {resource.ref.kind for resource in resources}))
    engine = evaluation.start_engine(context.config, loaded, context.jobs)
    try:
        return evaluation.evaluate_rules(resources, plan, engine), engine.name
    finally:
        engine.close()
