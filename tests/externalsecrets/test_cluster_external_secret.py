"""A ClusterExternalSecret asks for an ExternalSecret in each namespace that it chooses, as external-secrets makes them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gatekeeper.externalsecrets import cluster_external_secret, collection
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces
from gatekeeper.externalsecrets.fetch_plan import StoreKey, resolve_store_key
from gatekeeper.kube.decoder import FieldError
from tests.conftest import Repository, command, verdict_of
from tests.externalsecrets.test_decision import STORE

SPACES = {"shop-a": {"team": "shop"}, "shop-b": {"team": "shop"}, "web": {"team": "web"}}
WANTED = """
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {{name: all, annotations: {{force-sync: '1'}}}}
spec:
  externalSecretName: db
  externalSecretMetadata: {{labels: {{app: shop}}}}
  refreshTime: 1m
  {chosen}
  externalSecretSpec:
    secretStoreRef: {{name: vault, kind: ClusterSecretStore}}
    data: [{{secretKey: a, remoteRef: {{key: prod/db}}}}]
"""


def made(chosen: str, is_all: bool = True) -> list[str]:
    value = yaml.safe_load(WANTED.format(chosen=chosen))
    return [one["metadata"]["namespace"] for one in cluster_external_secret.expand(value, SPACES, is_all)]


@pytest.mark.parametrize(
    ("chosen", "spaces"),
    [
        ("namespaceSelector: {matchLabels: {team: shop}}", ["shop-a", "shop-b"]),
        ("namespaces: [web, none]", ["web"]),
        ("namespaceSelectors: [{matchLabels: {team: web}}, {matchLabels: {team: shop}}]", ["shop-a", "shop-b", "web"]),
        ("namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}", ["web"]),
        ("namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}", ["web"]),
        ("namespaceSelector: {}", sorted(SPACES)),
        ("", []),
        ("namespaces: [web]\n  namespaceSelector: {matchLabels: {team: web}}", ["web"]),
        ("namespaceSelector: {matchLabels: {team: none}}", []),
    ],
)
def test_namespaces_are_chosen_by_name_and_by_labels(chosen: str, spaces: list[str]) -> None:
    assert made(chosen) == spaces


def test_without_a_cluster_names_match_and_labels_are_unknown() -> None:
    assert made("namespaces: [elsewhere]", False) == ["elsewhere"]
    assert made("namespaceSelector: {matchLabels: {team: shop}}", False) == ["shop-a", "shop-b"]
    with pytest.raises(FieldError, match="selects namespaces by labels, and no known namespace matches"):
        made("namespaceSelector: {matchLabels: {team: none}}", False)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("namespaceSelector: {team: shop}", "has the unknown field `team`"),
        ("namespaceSelectors: {}", "must be a list"),
        ("targetNamespaces: [a]", "`spec.targetNamespaces`"),
        ("namespaces: web", "must be a list of strings"),
        ("namespaceSelector: {matchExpressions: [{key: a, operator: Near}]}", "has the unknown operator"),
    ],
)
def test_invalid_field_is_refused_by_name(chosen: str, words: str) -> None:
    with pytest.raises(FieldError, match=words):
        made(chosen)


def test_what_is_made_is_what_external_secrets_makes() -> None:
    value = yaml.safe_load(WANTED.format(chosen="namespaces: [web]"))
    [one] = cluster_external_secret.expand(value, SPACES, True)
    metadata = {"name": "db", "namespace": "web", "labels": {"app": "shop"}, "annotations": {"force-sync": "1"}}
    assert one["metadata"] == metadata and one["spec"] == value["spec"]["externalSecretSpec"]
    assert (one["apiVersion"], one["kind"]) == ("external-secrets.io/v1", "ExternalSecret")


def collected(*values: Any) -> DesiredSecrets:
    given = [InputObject(one, one["metadata"].get("namespace", ""), lambda path: "x.yaml:1") for one in values]
    return collection.collect_desired_secrets(given, KnownNamespaces(SPACES, True), ())


def test_existing_external_secret_keeps_its_owner() -> None:
    value = yaml.safe_load(WANTED.format(chosen="namespaces: [web]"))
    there: dict[str, Any] = next(iter(cluster_external_secret.expand(value, SPACES, True)))
    found = collected(value, there)
    assert len(found.specs) == 1 and "web/db already exists and was not created by it" in str(found.refusals[0])
    there["metadata"]["ownerReferences"] = [{"kind": "ClusterExternalSecret", "name": "all"}]
    found = collected(value, there)
    assert len(found.specs) == 1 and not found.refusals


def test_a_cluster_store_signs_in_once_or_once_for_each_namespace() -> None:
    store = yaml.safe_load(STORE)
    value = yaml.safe_load(WANTED.format(chosen="namespaces: [shop-a, web]"))
    for auth, spaces in (
        ({"tokenSecretRef": {"name": "t", "namespace": "vault"}}, {""}),
        ({"tokenSecretRef": {"name": "t"}}, {"shop-a", "web"}),
        ({"kubernetes": {"role": "r", "serviceAccountRef": {"name": "s"}}}, {"shop-a", "web"}),
    ):
        store["spec"]["provider"]["vault"]["auth"] = auth
        found = collected(value, store)
        keys = {resolve_store_key(one.data[0].store, one.namespace) for one in found.specs}
        assert keys == {StoreKey("ClusterSecretStore", space, "vault") for space in spaces}
        assert {key.object_key for key in keys} == found.stores.keys()


def test_a_repository_is_read_with_the_namespaces_that_it_has(repository: Repository) -> None:
    spaces = "---\n".join(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{team: {labels['team']}}}}}\n"
        for name, labels in SPACES.items()
    )
    wanted = WANTED.format(chosen="namespaceSelector: {matchLabels: {team: shop}}")
    rules = "library: {profile: 'off'}\nsecrets: {allow: [{namespace: shop-a, key: 'prod/*'}]}\n"
    root = repository({"a.yaml": f"{STORE}---\n{wanted}---\n{spaces}"})
    code, out, _ = command("sync", "--plan", root)
    assert code == 0 and "2 ExternalSecrets" in out and "1 reads for 2 references" in out
    (root / "gatekeeper.yaml").write_text(rules)
    code, out, _ = command("sync", "--plan", root)
    words = "namespace shop-b may not read `prod/db` of ClusterSecretStore vault"
    assert code == 1 and words in out and "1 ExternalSecrets" in out
    code, verdict = verdict_of(root)
    [finding] = [one for one in verdict["findings"] if one["rule"].startswith("external/")]
    assert code == 1 and words in finding["message"] and finding["line"] == 17 and "a.yaml:17" in out
