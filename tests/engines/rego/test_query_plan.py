"""The rules of a run: severities, kinds and packages as the config says."""

from __future__ import annotations

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.model import PolicySet, QueryPlan
from gatekeeper.errors import PolicyError, UsageError
from gatekeeper.model import TERRAFORM_KIND

OFF = Config(library="off")


def build(config: Config, *texts: str) -> QueryPlan:
    modules = tuple(loader.parse_module(text, f"{number}.rego") for number, text in enumerate(texts))
    return query_plan.build_plan(config, PolicySet(modules, {}))


def test_the_prefix_of_a_rule_is_its_severity_and_other_rules_check_nothing() -> None:
    plan = build(OFF, "package a\ndeny_x[y] { y := 1 }\nwarn[y] { y := 1 }\nviolation[y] { y := 1 }\nhelper { true }\n")
    assert {rule.name: rule.severity for rule in plan.rules.values()} == {
        "a/deny_x": "error",
        "a/warn": "warning",
        "a/violation": "error",
    }


def test_only_the_named_packages_check_but_all_are_loaded() -> None:
    plan = build(OFF._replace(namespaces=("a",)), "package a\ndeny[1] { true }\n", "package b\ndeny[1] { true }\n")
    assert list(plan.rules) == ["data.a.deny"] and len(plan.policies.modules) == 2


@pytest.mark.parametrize(
    ("package", "is_terraform"), [("terraform", True), ("terraform.aws", True), ("terraformer", False)]
)
def test_a_package_for_terraform_checks_only_terraform(package: str, is_terraform: bool) -> None:
    [rule] = build(OFF, f"package {package}\ndeny[1] {{ true }}\n").rules.values()
    assert rule.kinds == ((TERRAFORM_KIND,) if is_terraform else ())


def test_the_config_changes_the_severity_of_a_library_rule() -> None:
    config = Config(library="off", enable=("images/latest-tag",), severity={"images/latest-tag": "info"})
    [rule] = build(config).rules.values()
    assert (rule.name, rule.severity) == ("images/latest-tag", "info")
    with pytest.raises(PolicyError, match="not 'fatal'"):
        build(config._replace(severity={"images/latest-tag": "fatal"}))
    with pytest.raises(UsageError, match="no rule or category `none`"):
        build(config._replace(enable=("none",)))


def test_rules_read_the_version_of_the_cluster_and_only_selected_rules_are_loaded() -> None:
    plan = build(Config(library="off", enable=("images/latest-tag",), kubernetes="1.30"))
    assert plan.policies.data["gatekeeper"]["kubernetes"] == "1.30"
    assert [module.path for module in plan.policies.modules if module.path.endswith("rule.rego")] == [
        "images/latest-tag/rule.rego"
    ]


def test_exceptions_belong_to_rule_packages() -> None:
    texts = [f"package {name}\ndeny[1] {{ true }}\nexception[x] {{ x := [] }}\n" for name in ("a", "b")]
    assert build(OFF._replace(namespaces=("a",)), *texts).exception_queries == {"a": "data.a.exception"}


OWN = "package own\nimport rego.v1\ndeny contains 1 if input.x == 1\n"


def list_rules_for(plan: QueryPlan, *kinds: str) -> set[str]:
    """The queries of which the module is loaded for resources of these kinds."""
    selected = query_plan.select_modules(plan, set(kinds)).modules
    return {query for query, rule in plan.rules.items() if rule.module in selected}


@pytest.mark.parametrize("kind", ["Deployment", "Service", "Kustomization", "Application", TERRAFORM_KIND, "Other"])
def test_rules_of_the_library_are_loaded_exactly_for_the_kinds_that_they_apply_to(kind: str) -> None:
    plan = build(Config(library="strict"), OWN)
    needed = {query for query, rule in plan.rules.items() if rule.is_for_kind(kind)}
    assert list_rules_for(plan, kind) == needed | {"data.own.deny"} and len(needed) < len(plan.rules)
    helpers = {module.path for module in plan.policies.modules if module.path.startswith("lib/")}
    assert helpers <= {module.path for module in query_plan.select_modules(plan, {kind}).modules}
    assert query_plan.select_modules(plan, {kind}).data == plan.policies.data


@pytest.mark.parametrize(
    "reference",
    [
        "data.gatekeeper.images.latest_tag.deny",
        'data["gatekeeper"]',
        "data [x]",
        "data[input.name]",
        "count(data)",
        "walk(data, [p, v])",
        "data.other with data as {}",
    ],
)
def test_all_rules_of_the_library_are_loaded_where_another_policy_can_use_them(reference: str) -> None:
    plan = build(Config(), f"package own\nimport rego.v1\ndeny contains 1 if {reference}\n")
    assert query_plan.select_modules(plan, {"Service"}) == plan.policies


@pytest.mark.parametrize("package", ["gatekeeper.images.latest_tag", 'a["b"]', "gatekeeper"])
def test_all_rules_of_the_library_are_loaded_where_another_policy_can_add_to_them(package: str) -> None:
    plan = build(Config(), f"package {package}\nimport rego.v1\ndeny contains 1 if input.x\n")
    assert query_plan.select_modules(plan, {"Service"}) == plan.policies


def test_data_of_the_repository_is_no_use_of_the_library() -> None:
    plan = build(Config(), "package own\nimport rego.v1\nimport data.teams\ndeny contains 1 if data.teams[input.x]\n")
    assert len(query_plan.select_modules(plan, {"Service"}).modules) < len(plan.policies.modules)
