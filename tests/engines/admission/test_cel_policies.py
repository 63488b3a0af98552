"""Policies in CEL: what is sent to the program, and which variables they use."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission.cel_policies import CelPolicy, check_compilation, has_marker
from gatekeeper.errors import PolicyError
from gatekeeper.upstream.client import UpstreamClient
from tests.upstream.conftest import client, program  # noqa: F401  fixtures

VALIDATION = {"expression": "object.params == 1", "messageExpression": "request.name"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "has no `validations`"),
        ({"validations": {}}, "has no `validations`"),
        ({"validations": [{"message": "x"}]}, "`expression` must be a string"),
        ({"validations": ["true"]}, "must be a list of mappings"),
    ],
)
def test_a_malformed_policy_is_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        CelPolicy("p", spec, is_in_api=True)


def test_has_variable_finds_root_variables_only() -> None:
    policy = CelPolicy("p", {"validations": [VALIDATION]}, is_in_api=True)
    assert policy.has_variable("object") and policy.has_variable("request") and not policy.has_variable("params")


def test_the_program_gets_what_is_evaluated() -> None:
    policy = CelPolicy("p", {"validations": [VALIDATION], "matchConstraints": {"resourceRules": []}}, is_in_api=True)
    assert orjson.loads(policy.source.spec) == {"validations": [VALIDATION]}


def test_an_expression_that_does_not_compile_is_named(client: UpstreamClient) -> None:  # noqa: F811
    check_compilation(client, CelPolicy("p", {"validations": [VALIDATION]}, is_in_api=True))
    bad = {"validations": [VALIDATION, {"expression": "object."}]}
    with pytest.raises(PolicyError, match=r"the CEL expression of spec\.validations\[1\]\.expression: .*Syntax error"):
        check_compilation(client, CelPolicy("p", bad, is_in_api=True))


def test_values_that_are_not_known_yet_have_a_marker() -> None:
    assert has_marker(b'{"a":"${B}"}') and has_marker(b'{"a":"ENC[x]"}') and not has_marker(b'{"a":"$B"}')
