"""Cached results of rules: for the same rules, settings and resource only, and never of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.model import PolicySet, QueryPlan
from gatekeeper.engines.rego.result_cache import ResultCache
from gatekeeper.engines.rego.results import DraftFinding, EvaluationResult
from gatekeeper.host.cache import Cache
from gatekeeper.model import Resource
from tests.engines.resources import build_resource

CONFIG = Config(library="off")
ENGINE = ("regorus", "1")


def build_plan(text: str = "package a\ndeny[1] { true }\n") -> QueryPlan:
    return query_plan.build_plan(CONFIG, PolicySet((loader.parse_module(text, "a.rego"),), {}))


def build_map(name: str) -> Resource:
    return build_resource({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})


def build_draft(number: int, resource: Resource, plan: QueryPlan) -> DraftFinding:
    [(query, rule)] = plan.rules.items()
    return DraftFinding(number, query, rule, resource, "no", ("metadata", "name"), 1, "traced")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path, b"k" * 32, b"1")


def test_recorded_results_are_read_with_the_number_of_the_resource(store: Cache) -> None:
    plan, resources = build_plan(), [build_map("a"), build_map("b")]
    ResultCache(store, plan, CONFIG).record(
        resources, EvaluationResult([build_draft(0, resources[0], plan)], [], set()), ENGINE
    )
    cache = ResultCache(store, plan, CONFIG)
    again = [build_map("b"), build_map("new"), build_map("a")]
    assert cache.engine == ENGINE and cache.find_unknown(again) == [1]
    assert cache.read_drafts(again) == [build_draft(2, again[2], plan)]


def test_a_resource_that_could_not_be_evaluated_is_not_cached(store: Cache) -> None:
    plan, resources = build_plan(), [build_map("a"), build_map("b")]
    result = EvaluationResult([build_draft(0, resources[0], plan)], [], {0})
    ResultCache(store, plan, CONFIG).record(resources, result, ENGINE)
    cache = ResultCache(store, plan, CONFIG)
    assert cache.find_unknown(resources) == [0] and cache.read_drafts(resources) == []


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("package a\ndeny[2] { true }\n", CONFIG),
        ("package a\ndeny[1] { true }\n", CONFIG._replace(policy_timeout=1.0)),
        ("package a\ndeny[1] { true }\n", CONFIG._replace(engine="opa")),
        ("package a\ndeny[1] { true }\n", CONFIG._replace(builtins=("http.send",))),
    ],
    ids=["other rule", "other time", "other engine", "other builtins"],
)
def test_other_rules_or_settings_know_nothing(store: Cache, text: str, config: Config) -> None:
    plan, resources = build_plan(), [build_map("a")]
    ResultCache(store, plan, CONFIG).record(resources, EvaluationResult([], [], set()), ENGINE)
    other = ResultCache(store, build_plan(text), config)
    assert other.engine is None and other.find_unknown(resources) == [0]
    assert ResultCache(store, plan, CONFIG).find_unknown(resources) == []
