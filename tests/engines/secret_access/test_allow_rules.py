"""ExternalSecrets read only what the config allows their namespace; one that cannot be parsed is no exception."""

from __future__ import annotations

import pytest

from gatekeeper.engines.secret_access import allow_rules
from gatekeeper.model import Finding
from tests.engines.resources import parse_resources

EXTERNAL = """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: a, namespace: team-a}
spec:
  secretStoreRef: {name: vault, kind: ClusterSecretStore}
  data:
  - secretKey: own
    remoteRef: {key: team-a/db}
  - secretKey: foreign
    remoteRef:
      key: team-b/db
"""
RULES = [{"namespace": "team-a", "store": "ClusterSecretStore/vault", "key": "team-a/*"}]


def check(text: str, rules: list[dict[str, str]] | None = None) -> list[Finding]:
    return list(allow_rules.evaluate(parse_resources(text), RULES if rules is None else rules))


def test_a_key_that_no_rule_allows_is_found_at_its_line() -> None:
    [finding] = check(EXTERNAL)
    assert (finding.rule, finding.location.line) == ("external/not-allowed", 11)
    assert "team-b/db" in finding.message and "secrets.allow" in finding.hint


def test_without_rules_everything_is_allowed_and_other_kinds_are_not_checked() -> None:
    assert check(EXTERNAL, []) == []
    assert check(EXTERNAL.replace("external-secrets.io", "example.com")) == []
    assert check(EXTERNAL.replace("kind: ExternalSecret", "kind: PushSecret")) == []


@pytest.mark.parametrize(
    "text",
    [EXTERNAL.replace("  data:", "  data: 7\n  other:"), EXTERNAL.replace("{name: vault, kind", "{nam: vault, kind")],
)
def test_an_external_secret_that_cannot_be_parsed_is_an_error(text: str) -> None:
    assert [(finding.rule, finding.severity) for finding in check(text)] == [("external/unknown", "error")]


def test_a_cluster_external_secret_is_checked_for_each_namespace_that_it_selects() -> None:
    spread = """\
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: a}
spec:
  namespaceSelectors: [{matchLabels: {team: "yes"}}]
  externalSecretSpec:
    secretStoreRef: {name: vault, kind: ClusterSecretStore}
    data:
    - secretKey: own
      remoteRef: {key: team-a/db}
"""
    namespaces = "".join(
        f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: team-{name}, labels: {{team: '{value}'}}}}\n"
        for name, value in (("a", "yes"), ("b", "yes"), ("c", "no"))
    )
    [finding] = check(spread + namespaces)
    assert (finding.rule, finding.location.line) == ("external/not-allowed", 10)
    assert "team-b" in finding.message
