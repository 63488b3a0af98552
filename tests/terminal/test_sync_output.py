"""The exit code of one printed decision."""

from __future__ import annotations

import pytest
import yaml

from gatekeeper.externalsecrets import external_secret_spec
from gatekeeper.externalsecrets.decision import Decision, SecretAction
from gatekeeper.terminal import sync_output

SPEC = external_secret_spec.parse_external_secret(
    yaml.safe_load(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: db, namespace: prod}\n"
        "spec: {secretStoreRef: {name: vault}, data: [{secretKey: a, remoteRef: {key: b}}]}\n"
    )
)


@pytest.mark.parametrize(
    ("action", "reason", "is_partial", "code"),
    [
        ("change", "some values are missing: b", True, 1),
        ("unchanged", "not all values change: the Secret is immutable", False, 0),
        ("failed", "", False, 1),
        ("wait", "", False, 1),
        ("create", "", False, 0),
    ],
)
def test_exit_code_follows_the_decision_and_not_the_words_of_its_reason(
    action: SecretAction, reason: str, is_partial: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync_output.print_decision(Decision(SPEC, action, reason, is_partial=is_partial), True) == code
    assert "prod/db" in capsys.readouterr().out
