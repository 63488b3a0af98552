"""Collecting the ExternalSecrets to sync from objects."""

from __future__ import annotations

from typing import Any

import yaml

from gatekeeper.externalsecrets.collection import (
    DesiredSecrets,
    InputObject,
    KnownNamespaces,
    RefusedObject,
    collect_desired_secrets,
)
from gatekeeper.externalsecrets.external_secret_spec import SpecCache
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from tests.externalsecrets.test_decision import STORE, es

SPREAD = """
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: all}
spec:
  namespaces: [prod, stage]
  externalSecretSpec:
    secretStoreRef: {name: vault, kind: ClusterSecretStore}
    data: [{secretKey: a, remoteRef: {key: k}}]
"""


def collect(*texts: str, cache: SpecCache | None = None, rules: Any = ()) -> DesiredSecrets:
    values = [value for text in texts for value in yaml.safe_load_all(text)]
    objects = [
        InputObject(value, value["metadata"].get("namespace", ""), lambda path: f"at {path[-1]}") for value in values
    ]
    return collect_desired_secrets(objects, KnownNamespaces({"prod": {}, "stage": {}}, True), rules, cache)


def test_stores_and_external_secrets_of_both_kinds_are_collected() -> None:
    desired = collect(STORE, es(), SPREAD)
    assert [str(spec) for spec in desired.specs] == [
        "ExternalSecret prod/db",
        "ExternalSecret prod/all",
        "ExternalSecret stage/all",
    ]
    assert list(desired.stores) == [StoreKey("ClusterSecretStore", "", "vault")] and desired.refusals == []


def test_invalid_and_unsupported_objects_are_refused_with_their_location() -> None:
    push = "{apiVersion: external-secrets.io/v1, kind: PushSecret, metadata: {name: p, namespace: prod}}"
    desired = collect(es().replace("target: {}", "odd: {}"), push)
    assert desired.specs == [] and sorted(map(str, desired.refusals)) == [
        "at kind: PushSecret prod/p: this kind is not supported",
        "at odd: ExternalSecret prod/db: `spec.odd` is not supported",
    ]


def test_existing_external_secret_is_not_replaced_by_that_of_a_cluster_external_secret() -> None:
    desired = collect(SPREAD, es("all"))
    assert [str(spec) for spec in desired.specs] == ["ExternalSecret prod/all", "ExternalSecret stage/all"]
    [refusal] = desired.refusals
    assert "ExternalSecret prod/all already exists and was not created by it" in str(refusal)


def test_rules_and_conditions_of_stores_refuse_an_external_secret() -> None:
    conditions = STORE.replace("spec: {", "spec: {conditions: [{namespaces: [other]}], ")
    desired = collect(conditions, es(), rules=[{"namespace": "stage"}])
    reasons = sorted(refusal.reason for refusal in desired.refusals)
    assert desired.specs == [] and len(reasons) == 2
    assert "ClusterSecretStore vault: its `conditions` do not permit namespace prod" in reasons[0]
    assert "namespace prod may not read `prod/db` of ClusterSecretStore vault" in reasons[1]


def test_unchanged_objects_are_parsed_once() -> None:
    cache = SpecCache()

    def version(number: int, rest: str = "target: {}") -> str:
        marked = es().replace("{name: db,", f"{{name: db, uid: u, resourceVersion: '{number}',")
        return marked.replace("target: {}", rest)

    first = collect(version(1), cache=cache)
    # The cache trusts the resourceVersion: it does not look at the rest again.
    assert collect(version(1, "odd: {}"), cache=cache) == first
    assert [str(refusal.name) for refusal in collect(version(2, "odd: {}"), cache=cache).refusals] == ["db"]
    assert collect(version(3), cache=cache).specs == first.specs
    collect(cache=cache)
    assert collect(version(3, "odd: {}"), cache=cache).specs == []


def test_refused_object_is_shown_with_its_location() -> None:
    assert str(RefusedObject("a", "b", "reason", "")) == "reason"
    assert str(RefusedObject("a", "b", "reason", "x.yaml:1")) == "x.yaml:1: reason"
