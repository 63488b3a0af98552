"""The parsed form of Rego policies: which rules apply to resources of which kind, and the digest of a set of policies."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego.loader import parse_module
from gatekeeper.engines.rego.model import PolicySet, RegoModule, RuleQuery
from gatekeeper.model import TERRAFORM_KIND


def parse(text: str, name: str = "a.rego") -> RegoModule:
    return parse_module(f"package k8s\n{text}", name)


def test_only_rules_with_a_verdict_are_queried() -> None:
    module = parse("deny[m] { m := 1 }\nwarn_late[m] { m := 2 }\nhelper { true }\ndenylist { true }\n")
    assert module.list_queries() == ("data.k8s.deny", "data.k8s.warn_late")


def test_exceptions_have_a_query_where_a_package_has_the_rule() -> None:
    assert parse("exception[r] { r := [] }\n").exception_query == "data.k8s.exception"
    assert parse("deny[m] { m := 1 }\n").exception_query is None


@pytest.mark.parametrize(
    ("kinds", "kind", "expected"),
    [
        ((), "Pod", True),
        ((), TERRAFORM_KIND, False),
        (("Pod",), "Pod", True),
        (("Pod",), "Service", False),
        ((TERRAFORM_KIND,), TERRAFORM_KIND, True),
    ],
)
def test_a_rule_for_all_kinds_does_not_check_terraform(kinds: tuple[str, ...], kind: str, expected: bool) -> None:
    assert RuleQuery("rule", "error", "", kinds, parse("")).is_for_kind(kind) is expected


def test_the_digest_depends_on_texts_and_data_and_not_on_names_or_order() -> None:
    first, second = parse("deny[m] { m := 1 }\n"), parse("deny[m] { m := 2 }\n", "b.rego")
    digest = PolicySet((first, second), {"a": 1}).digest
    assert PolicySet((second, first._replace(path="renamed.rego")), {"a": 1}).digest == digest
    assert len({digest, PolicySet((first,), {"a": 1}).digest, PolicySet((first, second), {"a": 2}).digest}) == 3
    assert PolicySet((first, second._replace(is_v0=False)), {"a": 1}).digest != digest
