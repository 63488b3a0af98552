"""The type check of policies in the real program. What becomes of it: `tests/engines/schema/test_type_checks.py`."""

from __future__ import annotations

import orjson

from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.type_check import check_types


def build_spec(*expressions: str) -> bytes:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    validations = [{"expression": one} for one in expressions]
    return orjson.dumps({"matchConstraints": {"resourceRules": [rule]}, "validations": validations})


def test_each_policy_has_its_warnings_in_order(client: UpstreamClient) -> None:
    specs = [build_spec("true"), build_spec("object.spec.replicas > 1", "object.a", "object.spec == 1"), b"7"]
    first, second, third = check_types(client, specs, [])
    assert (first, third) == ([], [])
    assert [one.field for one in second] == ["spec.validations[1].expression", "spec.validations[2].expression"]
    assert "undefined field 'a'" in second[0].message


def test_the_same_warning_has_the_same_text_each_time(client: UpstreamClient) -> None:
    found = [check_types(client, [build_spec("object == 1")], []) for _ in range(2)]
    assert found[0] == found[1] and "(Deployment, int)" in found[0][0][0].message
