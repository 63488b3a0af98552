"""Who may read what: the config's rules refuse the same in `check` and in `sync`, in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.externalsecrets import access_rules, external_secret_spec
from tests.conftest import Repository, command, verdict_of
from tests.externalsecrets.test_decision import STORE, es

RULES = "library: {profile: 'off'}\nsecrets:\n  allow:\n  - {namespace: prod, store: ClusterSecretStore/vault, key: prod/*}\n  - {store: SecretStore/*, key: '*'}\n"


def refused(rest: str, *rules: dict[str, str]) -> list[str]:
    import yaml

    wanted = external_secret_spec.parse_external_secret(
        yaml.safe_load(es(data=rest if rest.startswith("[") else "[]", more="" if rest.startswith("[") else rest))
    )
    return [reason for _, reason in access_rules.find_refusals(wanted, rules)]


ONE = "[{secretKey: a, remoteRef: {key: prod/db}}]"


@pytest.mark.parametrize(
    ("rest", "rule", "is_refused"),
    [
        (ONE, {"namespace": "prod", "store": "ClusterSecretStore/vault", "key": "prod/*"}, False),
        (ONE, {"key": "prod/db"}, False),
        (ONE, {"namespace": "test"}, True),
        (ONE, {"store": "SecretStore/vault"}, True),
        (ONE, {"key": "prod"}, True),
        (ONE, {"key": "PROD/*"}, True),
        ("  dataFrom: [{extract: {key: prod/db}}]\n", {"key": "prod/*"}, False),
        ("  dataFrom: [{extract: {key: test/db}}]\n", {"key": "prod/*"}, True),
        ("  dataFrom: [{find: {path: prod/, name: {regexp: .}}}]\n", {"key": "prod/*"}, False),
        ("  dataFrom: [{find: {path: prod, name: {regexp: .}}}]\n", {"key": "prod/*"}, True),
        ("  dataFrom: [{find: {name: {regexp: ^prod/}}}]\n", {"key": "prod/*"}, True),
        ("  dataFrom: [{find: {name: {regexp: .}}}]\n", {"key": "*"}, False),
        (ONE.replace("key: prod/db", "key: prod/../test/db"), {"key": "test/*"}, True),
        (ONE.replace("key: prod/db", "key: prod/../test/db"), {"key": "prod/*"}, True),
    ],
)
def test_a_rule_lets_what_its_patterns_match(rest: str, rule: dict[str, str], is_refused: bool) -> None:
    assert bool(refused(rest, rule)) == is_refused
    assert refused(rest) == []


def test_check_and_sync_refuse_the_same_in_the_same_words(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": RULES,
        "a.yaml": f"{STORE}---\n{es()}",
        "b.yaml": es("other", data="[{secretKey: a, remoteRef: {key: test/db}}]"),
        "c.yaml": es("odd").replace("  target: {}", "  syncWindows: {}"),
    }
    root = repository(files)
    code, verdict = verdict_of(root)
    found: dict[str, Any] = {one["file"]: one for one in verdict["findings"] if one["rule"].startswith("external/")}
    assert code == 1 and found.keys() == {"b.yaml", "c.yaml"}
    assert (found["b.yaml"]["rule"], found["b.yaml"]["line"]) == ("external/not-allowed", 7)
    words = "namespace prod may not read `test/db` of ClusterSecretStore vault"
    assert words in found["b.yaml"]["message"] and found["c.yaml"]["rule"] == "external/unknown"
    code, out, _ = command("sync", "--plan", root)
    assert code == 1 and f"b.yaml:7: ExternalSecret prod/other: {words}" in out and "1 ExternalSecrets" in out
