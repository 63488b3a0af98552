"""The form of SealedSecrets: what kubeseal could not have written is refused, at its line."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gatekeeper.model import Finding
from tests.conftest import Repository, judge
from tests.sealedsecrets.test_kubeseal_compatibility import pair

SEALED = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: s}\nspec:\n  encryptedData:\n    p: "


def value(rsa: int, rest: int = 30) -> str:
    return base64.b64encode(rsa.to_bytes(2, "big") + bytes(rsa) + bytes(rest)).decode()


def found(repository: Repository, text: str, **more: str | bytes) -> list[Finding]:
    verdict = judge(repository({"a.yaml": text, **{name.replace("_", "/", 1): held for name, held in more.items()}}))
    return [finding for finding in verdict.findings if finding.rule.startswith(("sealed/", "plaintext/"))]


def test_a_value_that_kubeseal_could_have_written_is_safe(repository: Repository) -> None:
    assert found(repository, f"{SEALED}{value(512)}\n") == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("AgBy...", "sealed/not-base64"),
        (base64.b64encode(b"hello world, this is no seal").decode(), "sealed/not-sealed"),
        (value(512, 15), "sealed/not-sealed"),
        (value(100), "sealed/not-sealed"),
        ("AA==", "sealed/not-sealed"),
        ("''", "sealed/not-sealed"),
    ],
)
def test_value_that_is_not_sealed_is_refused(repository: Repository, text: str, rule: str) -> None:
    [finding] = found(repository, f"{SEALED}{text}\n")
    assert (finding.rule, finding.location.line, finding.location.column) == (rule, 6, 5)


def test_a_value_for_a_key_of_another_size_than_the_certificates_have_is_refused(
    repository: Repository, tmp_path: Path
) -> None:
    certificate, _ = pair(tmp_path / "keys", 2048)
    prod = {"keys_prod.pem": certificate.read_bytes()}
    assert found(repository, f"{SEALED}{value(256)}\n", **prod) == []
    [finding] = found(repository, f"{SEALED}{value(512)}\n", **prod)
    assert (finding.rule, finding.location.line) == ("sealed/key-size", 6)
    assert "for a key of 4096 bits; the certificates in keys/ have keys of 2048" in finding.message


def test_old_format_is_reported(repository: Repository) -> None:
    [finding] = found(repository, f"{SEALED}{value(512)}\n  data: AgBy\n")
    assert (finding.rule, finding.severity, finding.location.line) == ("sealed/old-form", "warning", 7)


def test_a_conflict_is_reported_at_its_first_line(repository: Repository) -> None:
    text = f"{SEALED}{value(512)}\n<<<<<<< HEAD\n    q: {value(512)}\n=======\n    q: {value(256)}\n>>>>>>> other\n"
    assert [(one.rule, one.location.line) for one in found(repository, text)] == [("sealed/conflict", 7)]
