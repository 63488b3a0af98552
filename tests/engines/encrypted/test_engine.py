"""The engine for encrypted files: all its checks run, on the files of the shard, without any key."""

from __future__ import annotations

from gatekeeper.engines.encrypted import engine
from tests.conftest import Repository
from tests.engines.contexts import build_context
from tests.engines.encrypted.test_candidates import SOPS

SEALED = """\
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: a, namespace: b}
spec:
  encryptedData:
    p: bm90IGEgc2VhbA==
"""
FILES: dict[str, str | bytes] = {
    ".sops.yaml": "creation_rules: [{path_regex: '.*', age: age1x}]\n",
    "a.yaml": SOPS,
    "db.enc.yaml": "a: 1\n",
    "sealed.yaml": SEALED,
    "conflict.yaml": "<<<<<<< HEAD\nkind: SealedSecret\n=======\n>>>>>>> x\n",
}


def test_each_check_finds_its_faults(repository: Repository) -> None:
    result = engine.evaluate(build_context(repository(FILES)))
    found = {(finding.rule, finding.location.file) for finding in result.findings}
    assert any(rule.startswith("sops/") and file == "a.yaml" for rule, file in found)
    assert ("sops/not-encrypted", "db.enc.yaml") in found
    assert ("sealed/conflict", "conflict.yaml") in found
    assert any(rule.startswith("sealed/") and file == "sealed.yaml" for rule, file in found)


def test_files_of_another_shard_are_left_to_it(repository: Repository) -> None:
    context = build_context(repository(FILES))
    shard = context.tree.select_files(lambda file: file == "db.enc.yaml")
    result = engine.evaluate(context._replace(shard_files=shard, resources=[]))
    assert {finding.location.file for finding in result.findings} == {"db.enc.yaml"}


def test_wider_scope_is_found_only_with_a_base(repository: Repository) -> None:
    wide = SEALED.replace(
        "namespace: b}", "namespace: b, annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}}"
    )
    context = build_context(repository({"sealed.yaml": wide}))
    with_past = engine.evaluate(context._replace(read_base_file=lambda file: SEALED.encode()))
    rules = {finding.rule for finding in with_past.findings} - {
        finding.rule for finding in engine.evaluate(context).findings
    }
    assert rules == {"sealed/scope-widened"}
