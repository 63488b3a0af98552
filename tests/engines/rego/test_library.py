"""The rule library: what a profile selects, and what the config adds and removes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatekeeper.engines.rego import library, loader
from gatekeeper.engines.rego.regorus import stack_limits
from gatekeeper.errors import UsageError
from gatekeeper.host.cache import Cache

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


def test_cached_library_is_the_same_and_read_from_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, b"k" * 32, b"1")
    for _ in range(2):
        assert library.load_rules(cache=cache) == (RULES, POLICIES)
        monkeypatch.setattr(library, "load_policies", None)
    # Another installation, and another folder, have entries of their own.
    with pytest.raises(TypeError):
        library.load_rules(cache=Cache(tmp_path, b"k" * 32, b"2"))
    with pytest.raises(TypeError):
        library.load_rules(include_tests=True, cache=cache)
    monkeypatch.setattr(library, "find_folder", lambda: tmp_path)
    with pytest.raises(TypeError):
        library.load_rules(cache=cache)


def test_damaged_cache_of_the_library_is_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path, b"k" * 32, b"1")
    library.load_rules(cache=cache)
    [entry] = [path for path in tmp_path.rglob("*") if path.is_file()]
    for damaged in (b"", entry.read_bytes().replace(b"deny", b"dent"), entry.read_bytes()[:-1]):
        entry.write_bytes(damaged)
        assert library.load_rules(cache=cache) == (RULES, POLICIES)


def test_library_is_loaded_where_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert library.load_rules(cache=Cache(tmp_path / "file" / "x", b"k" * 32, b"1")) == (RULES, POLICIES)


def test_concurrent_runs_share_the_cache_of_the_library(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: library.load_rules(cache=Cache(tmp_path, b"k" * 32, b"1")), range(8)))
    assert all(one == (RULES, POLICIES) for one in loaded)


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
