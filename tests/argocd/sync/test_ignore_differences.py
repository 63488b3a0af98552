"""Fields that may differ, by pointer, by who set them, and by jq."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.argocd.application_spec import IgnoreDifference
from gatekeeper.argocd.sync import ignore_differences
from gatekeeper.errors import SpecError
from tests.conftest import needs


def rule(group: str = "*", kind: str = "*", name: str = "", **ways: tuple[str, ...]) -> IgnoreDifference:
    return IgnoreDifference(
        group, kind, name, "", *(ways.get(one, ()) for one in ("pointers", "expressions", "managers"))
    )


def deployment(replicas: int, image: str = "a") -> dict[str, Any]:
    containers = [{"name": "web", "image": image}, {"name": "side", "image": "s"}]
    spec = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
    metadata = {"name": "d", "annotations": {"a/b": "1", "c": "2"}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def test_rules_match_kinds_and_names() -> None:
    value = deployment(1)
    rules = [rule("apps", "Deployment"), rule("", "Deployment"), rule("apps", "*", "d"), rule("apps", "*", "e"), rule()]
    assert ignore_differences.select_rules(value, rules) == [rules[0], rules[2], rules[4]]


def test_pointers_lead_into_mappings_and_lists_and_may_be_missing() -> None:
    pointers = ("/spec/replicas", "/metadata/annotations/a~1b", "/spec/template/spec/containers/1", "/none/of/it", "")
    found = ignore_differences.remove_ignored_fields(deployment(1), [rule(pointers=pointers)], None)
    assert "replicas" not in found["spec"] and found["metadata"]["annotations"] == {"c": "2"}
    assert [one["name"] for one in found["spec"]["template"]["spec"]["containers"]] == ["web"]


def test_fields_of_ignored_managers_are_removed() -> None:
    container: dict[str, Any] = {'k:{"name":"web"}': {"f:image": {}}}
    fields = {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": container}}}}
    live = deployment(5, "b")
    live["metadata"]["managedFields"] = [
        {"manager": "scaler", "fieldsV1": fields},
        {"manager": "other", "fieldsV1": {}},
    ]
    rules = [rule(managers=("scaler",))]
    own = ignore_differences.remove_ignored_fields(deployment(1), rules, live)
    theirs = ignore_differences.remove_ignored_fields(
        {key: held for key, held in live.items() if key != "metadata"}, rules, live
    )
    assert own["spec"] == theirs["spec"] and "replicas" not in own["spec"]


def test_ignored_fields_are_applied_with_their_live_values() -> None:
    rules = [rule(pointers=("/spec/replicas", "/spec/template/spec/containers/0/image", "/metadata/labels"))]
    found = ignore_differences.keep_ignored_fields(deployment(1), rules, deployment(7, "b"))
    assert found == deployment(7, "b")
    assert ignore_differences.keep_ignored_fields(deployment(1), rules, None) == deployment(1)
    bare = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}
    assert "replicas" not in ignore_differences.keep_ignored_fields(deployment(1), rules, bare)["spec"]


@needs("gatekeeper-upstream")
def test_jq_expressions_remove_fields_and_may_match_nothing() -> None:
    expressions = ('.spec.template.spec.containers[] | select(.name == "side")', ".spec.nothing[].x", ".spec.replicas")
    found = ignore_differences.remove_ignored_fields(deployment(1), [rule(expressions=expressions)], None)
    assert [one["name"] for one in found["spec"]["template"]["spec"]["containers"]] == ["web"]
    assert "replicas" not in found["spec"]


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (".spec[", "is no jq"),
        ("nothing(1)", "calls a function that is not defined"),
        ("[range(1e9)]", "longer than a second"),
        ("env", ""),
    ],
)
def test_invalid_or_endless_jq_is_an_error(expression: str, words: str) -> None:
    if not words:
        assert ignore_differences.remove_ignored_fields(
            deployment(1), [rule(expressions=(f".[{expression} | keys[0]]",))], None
        )
        return
    with pytest.raises(SpecError, match=words):
        ignore_differences.remove_ignored_fields(deployment(1), [rule(expressions=(expression,))], None)
