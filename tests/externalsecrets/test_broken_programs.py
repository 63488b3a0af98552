"""`sync` while a program that fills templates or reads paths is missing or broken: each secret fails, none is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Repository, command, needs
from tests.upstream.broken_programs import FAULTS, break_program, greet_and

STORE = """\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: aws, namespace: prod}
spec: {provider: {aws: {service: SecretsManager, region: eu-central-1}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: good, namespace: prod}
spec:
  refreshInterval: 1m
  secretStoreRef: {name: aws}
  data: [{secretKey: password, remoteRef: {key: db}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: prod}
spec:
  refreshInterval: 1m
  secretStoreRef: {name: aws}
"""
TEMPLATE = "  target: {template: {engineVersion: v2, data: {x: '{{ .password }}'}}}\n"
DATA = "  data: [{secretKey: password, remoteRef: {key: db%s}}]\n"
# A program that answers each line with one line.
LINES = "for line in sys.stdin: print({!r}, flush=True)"
CASES = {
    "gotemplate missing": ("gotemplate", None, "is not installed; run `gatekeeper tools install gotemplate`"),
    "gotemplate killed": ("gotemplate", "os.kill(os.getpid(), 9)", "gotemplate ended without an answer"),
    "gotemplate garbage": ("gotemplate", LINES.format("hunter2"), "gotemplate answered in a form"),
    "gotemplate no results": ("gotemplate", LINES.format('{"templates": []}'), "gotemplate answered in a form"),
    "upstream missing": ("gatekeeper-upstream", None, "is not installed; run `gatekeeper tools install"),
    "upstream killed": ("gatekeeper-upstream", greet_and(FAULTS["killed"]), "ended with status -9"),
    "upstream another form": ("gatekeeper-upstream", greet_and(FAULTS["another form"]), "answered in a form"),
}


@needs("gotemplate", "gatekeeper-upstream")
@pytest.mark.parametrize("case", CASES)
def test_a_secret_that_needs_the_program_fails_and_the_others_are_synced(
    repository: Repository, tmp_path: Path, case: str
) -> None:
    name, code, message = CASES[case]
    own = TEMPLATE + DATA % "" if name == "gotemplate" else DATA % ", property: 'a.b|@this'"
    root = repository({"secrets.yaml": STORE + own})
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "db").write_text('{"a": {"b": "hunter2"}}')
    environment = break_program(tmp_path / "cache", name, code)
    status, out, err = command("sync", "--dry-run", "--directory", f"aws={tmp_path / 'dev'}", root, env=environment)
    assert status == 1, out + err
    assert f"FAILED    prod/db: {name}" in out and message in out
    assert "prod/good" in out and "FAILED    prod/good" not in out
    assert "hunter2" not in out + err and "internal error" not in err
