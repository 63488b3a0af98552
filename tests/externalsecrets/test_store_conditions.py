"""`ClusterSecretStore.spec.conditions`: evaluated as external-secrets does, and the same for `check` and `sync`."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gatekeeper.externalsecrets.store_conditions import StoreAccess, evaluate_conditions
from tests.conftest import Repository, command, judge
from tests.externalsecrets.test_decision import STORE, es

NAME_LABEL = "kubernetes.io/metadata.name"
NOT_A = {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}
HAS_A = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
NOT_PROD = {"matchExpressions": [{"key": NAME_LABEL, "operator": "NotIn", "values": ["prod"]}]}
NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {stage: production}}\n"


@pytest.mark.parametrize(
    ("conditions", "labels", "access", "words"),
    [
        ([], None, StoreAccess.ALLOWED, ""),
        ([{"namespaces": ["prod"]}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaces": ["test"]}], None, StoreAccess.DENIED, "do not permit namespace prod"),
        ([{"namespaces": "prod"}], None, StoreAccess.INVALID, "`namespaces` must be a list"),
        ([{"namespaceRegexes": ["^pr"]}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaceRegexes": ["rod"]}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaceRegexes": ["("]}], None, StoreAccess.INVALID, "not a Go regular expression"),
        ([{"namespaceRegexes": [r"^(?=prod)"]}], None, StoreAccess.INVALID, "not a Go regular expression"),
        ([{"namespaceSelector": {}}, {"namespaces": ["prod"]}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaceSelector": {"matchLabels": {"a": "b"}}}], None, StoreAccess.UNKNOWN, "by labels"),
        ([{"namespaceSelector": {"matchLabels": {"a": "b"}}}], {"a": "b"}, StoreAccess.ALLOWED, ""),
        ([{"namespaceSelector": {"matchLabels": {"a": "b"}}}], {}, StoreAccess.DENIED, "do not permit"),
        ([{"namespaceSelector": {"matchLabels": {NAME_LABEL: "prod"}}}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaceSelector": {"matchLabels": {NAME_LABEL: "test", "a": "b"}}}], None, StoreAccess.DENIED, "do not"),
        ([{"namespaceSelector": {"matchLabels": {NAME_LABEL: "prod", "a": "b"}}}], None, StoreAccess.UNKNOWN, "labels"),
        ([{"namespaceSelector": NOT_A}], None, StoreAccess.UNKNOWN, "by labels"),
        ([{"namespaceSelector": NOT_A}], {}, StoreAccess.ALLOWED, ""),
        ([{"namespaceSelector": HAS_A}], {}, StoreAccess.DENIED, "do not permit"),
        ([{"namespaceSelector": NOT_PROD}], None, StoreAccess.DENIED, "do not permit"),
        ([{"namespaceSelector": NOT_A}, {"namespaces": ["prod"]}], None, StoreAccess.ALLOWED, ""),
        ([{"namespaceSelector": {"a": "b"}}], {}, StoreAccess.INVALID, "has the unknown field `a`"),
    ],
)
def test_evaluate_conditions(
    conditions: list[Any], labels: dict[str, str] | None, access: StoreAccess, words: str
) -> None:
    decision = evaluate_conditions({"spec": {"conditions": conditions}}, "prod", labels)
    assert decision.access is access and words in decision.reason and bool(decision.reason) == bool(words)


@pytest.mark.parametrize("store", [None, {}, {"spec": {}}, {"spec": {"conditions": "x"}}])
def test_a_store_without_conditions_is_open_to_every_namespace(store: Any) -> None:
    assert evaluate_conditions(store, "prod", None).access is StoreAccess.ALLOWED


@pytest.mark.parametrize(
    ("condition", "is_refused"),
    [
        ("{namespaces: [test]}", True),
        ("{namespaces: [prod]}", False),
        ("{namespaceRegexes: ['^te']}", True),
        ("{namespaceRegexes: ['[']}", True),
        ("{namespaceSelector: {matchExpressions: [{key: stage, operator: In, values: [test]}]}}", True),
        ("{namespaceSelector: {matchExpressions: [{key: stage, operator: NotIn, values: [test]}]}}", False),
        ("{namespaceSelector: {matchLabels: {stage: production}}}", False),
    ],
)
def test_check_and_sync_have_the_same_result(repository: Repository, condition: str, is_refused: bool) -> None:
    store = STORE.replace("spec: {", f"spec: {{conditions: [{condition}], ")
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "a.yaml": f"{store}---\n{es()}{NAMESPACE}"})
    by_check = [finding for finding in judge(root).findings if finding.rule == "references/store"]
    _, out, _ = command("sync", "--plan", root)
    assert ("ClusterSecretStore vault: its `conditions`" in out, bool(by_check)) == (is_refused, is_refused)


def test_check_evaluates_a_pathological_regular_expression_at_once(repository: Repository) -> None:
    namespace = "a" * 40 + "b"
    store = STORE.replace("spec: {", "spec: {conditions: [{namespaceRegexes: ['^(a+)+$']}], ")
    text = f"{store}---\n{es()}".replace("namespace: prod", f"namespace: {namespace}")
    start = time.monotonic()
    verdict = judge(repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "a.yaml": text}))
    assert "references/store" in {finding.rule for finding in verdict.findings}
    assert time.monotonic() - start < 30


def test_sync_does_not_read_from_a_store_that_denies_the_namespace(repository: Repository) -> None:
    store = STORE.replace("spec: {", "spec: {conditions: [{namespaces: [test]}], ")
    code, out, _ = command("sync", "--dry-run", repository({"a.yaml": f"{store}---\n{es()}"}))
    assert code == 1 and "ClusterSecretStore vault: its `conditions` do not permit namespace prod" in out
