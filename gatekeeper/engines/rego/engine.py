"""The Rego engine: the policies of the library, of the repository and of policy bundles, on regorus or OPA."""

from __future__ import annotations

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.evaluation import DraftFinding, build_finding, evaluate_rules, start_engine
from gatekeeper.engines.rego.loader import PolicySet
from gatekeeper.engines.rego.query_plan import QueryPlan, build_plan
from gatekeeper.engines.rego.result_cache import ResultCache
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Gap

STEP = "evaluating policies"
SCOPE: EngineScope = "resources"


def evaluate(context: EngineContext) -> EngineResult:
    """Evaluates all Rego rules that the config selects; policies that cannot be used are a fatal gap.

    Raises:
        UsageError: the config selects a rule that does not exist.
    """
    config, bundles = context.config, context.bundles
    plan = QueryPlan({}, PolicySet((), {}))
    try:
        own_policies = loader.load_policies(context.tree.root, config.policies, config.data)
        plan = build_plan(config, loader.merge_policy_sets([own_policies, *bundles.policy_sets]))
        result = _evaluate_plan(plan, context)
    except (PolicyError, ToolError) as error:
        gap = Gap(CONFIG_FILE, f"no policy was asked: {error}", is_fatal=True)
        result = EngineResult(
            gaps=[gap], engine=(config.engine, ""), policy_digests=[plan.policies.digest], is_cacheable=False
        )
    return result._replace(gaps=[*result.gaps, *bundles.gaps], is_cacheable=result.is_cacheable and not bundles.gaps)


def _evaluate_plan(plan: QueryPlan, context: EngineContext) -> EngineResult:
    """Evaluates the rules on all targets, except those whose result an earlier run has cached."""
    config, resources = context.config, [*context.targets, *context.terraform_targets]
    is_cacheable = not config.opa_url and not any(
        loader.is_nondeterministic(module.text) for module in plan.policies.modules
    )
    has_memory = context.cache is not None and is_cacheable and not plan.exception_queries
    memory = ResultCache(context.cache, plan, config) if context.cache and has_memory else None
    drafts: list[DraftFinding] = memory.read_drafts(resources) if memory else []
    numbers = memory.find_unknown(resources) if memory else list(range(len(resources)))
    remaining = [resources[number] for number in numbers]
    gaps: list[Gap] = []
    name = memory.engine if memory else None
    if remaining or name is None:
        engine = start_engine(config, plan, context.jobs)
        try:
            name, outcome = engine.name, evaluate_rules(remaining, plan, engine)
        finally:
            engine.close()
        gaps = outcome.gaps
        fresh = [draft._replace(resource_index=numbers[draft.resource_index]) for draft in outcome.drafts]
        # The findings come in the order of the resources, cached or not.
        drafts = sorted([*drafts, *fresh], key=lambda draft: draft.resource_index)
        if memory:
            memory.record(remaining, outcome, name)
    return EngineResult(
        [build_finding(draft) for draft in drafts],
        gaps,
        engine=name,
        policy_digests=[plan.policies.digest],
        is_cacheable=is_cacheable,
    )
