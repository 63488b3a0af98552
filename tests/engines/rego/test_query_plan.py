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
