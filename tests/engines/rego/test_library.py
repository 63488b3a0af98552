"""The rule library: what a profile selects, and what the config adds and removes."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego import library, loader
from gatekeeper.engines.rego.regorus import stack_limits
from gatekeeper.errors import UsageError

RULES, POLICIES = library.load_rules()


def select(profile: str, enable: tuple[str, ...] = (), disable: tuple[str, ...] = ()) -> set[str]:
    return {rule.name for rule in library.select_rules(RULES, profile, enable, disable)}


def test_each_profile_contains_the_smaller_one() -> None:
    assert select("off") == set() < select("default") < select("strict") == {rule.name for rule in RULES}


def test_a_rule_or_a_category_is_enabled_and_disabled_by_name() -> None:
    assert select("off", ("images/latest-tag",)) == {"images/latest-tag"}
    images = select("off", ("images",))
    assert images and all(name.startswith("images/") for name in images)
    assert select("strict", disable=("images",)) == select("strict") - images
    assert select("off", ("images",), ("images/latest-tag",)) == images - {"images/latest-tag"}


@pytest.mark.parametrize("name", ["image", "images/none", "images/", ""])
def test_a_rule_that_does_not_exist_is_an_error(name: str) -> None:
    for enable, disable in (((name,), ()), ((), (name,))):
        with pytest.raises(UsageError, match="no rule or category"):
            library.select_rules(RULES, "default", enable, disable)


def test_rules_are_sorted_shipped_and_without_tests() -> None:
    assert [rule.name for rule in RULES] == sorted(rule.name for rule in RULES)
    assert all(module.is_shipped and not module.is_test for module in POLICIES.modules)


def test_library_is_outlined_and_evaluated_as_any_other_policy_would_be() -> None:
    for module in library.load_rules(include_tests=True)[1].modules:
        plain = loader.parse_module(module.text, module.path)
        assert module == plain._replace(is_shipped=True)
        # What is decided without a look at the texts of the library.
        assert not loader.is_nondeterministic(module.text)


def test_library_calls_nothing_outside_of_itself() -> None:
    for module in POLICIES.modules:
        assert module.package.startswith("gatekeeper.")
        for _, function in stack_limits.find_functions(module):
            assert all(call.startswith(("gatekeeper.", "input.")) for call in function.calls), module.path


def test_the_replacement_of_a_removed_api_is_another_version() -> None:
    apis = library.load_replacement_apis()
    assert apis["extensions/v1beta1", "Deployment"] == "apps/v1"
    assert all(version != replacement for (version, _), replacement in apis.items() if replacement)


def test_the_link_of_a_standard_is_that_of_the_longest_prefix() -> None:
    links = {"CIS": "short", "CIS 5": "long"}
    assert [library.find_standard_link(text, links) for text in ("CIS 5.1", "CIS 4", "NSA")] == ["long", "short", ""]
    assert all(
        library.find_standard_link(standard, library.load_standard_links())
        for rule in RULES
        for standard in rule.standards
    )
