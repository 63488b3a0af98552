"""Certificates in `keys/`: SealedSecrets use one of them that has not expired."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.encrypted import certificates
from gatekeeper.engines.encrypted.certificates import KnownCertificates
from gatekeeper.model import Finding, Resource
from gatekeeper.sealedsecrets import keyring, scope
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository
from tests.engines.resources import build_resource
from tests.sealedsecrets.test_kubeseal_compatibility import pair


def build_sealed(fingerprint: str = "", annotation: str = scope.SEALED_WITH_ANNOTATION) -> Resource:
    metadata = {"name": "a", "annotations": {annotation: fingerprint} if fingerprint else {}}
    return build_resource({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata})


def read(root: Path, *resources: Resource) -> KnownCertificates:
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return certificates.read_certificates(Tree(root, files), resources)


def check(root: Path, *resources: Resource) -> list[Finding]:
    return list(certificates.check_certificates(read(root, *resources), resources))


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    return pair(tmp_path / "valid")[0]


def fingerprint(certificate: Path) -> str:
    return keyring.parse_certificate(certificate.read_bytes(), "", must_be_valid=False).fingerprint


@pytest.mark.parametrize("annotation", [scope.SEALED_WITH_ANNOTATION, scope.FORMER_SEALED_WITH_ANNOTATION])
def test_a_certificate_that_is_not_in_the_folder_is_an_error(
    repository: Repository, valid: Path, annotation: str
) -> None:
    root = repository({"keys/prod.pem": valid.read_bytes()})
    assert check(root, build_sealed(fingerprint(valid), annotation)) == []
    [finding] = check(root, build_sealed("f" * 64, annotation))
    assert (finding.rule, finding.severity) == ("sealed/unknown-certificate", "error")
    assert "`ffffffffffffffff…`" in finding.message


def test_an_expired_certificate_is_a_warning_with_its_day(repository: Repository, tmp_path: Path) -> None:
    expired = pair(tmp_path / "expired", days=-10)[0]
    [finding] = check(repository({"keys/old.crt": expired.read_bytes()}), build_sealed(fingerprint(expired)))
    assert (finding.rule, finding.severity) == ("sealed/expired-certificate", "warning")
    assert "keys/old.crt, which expired on 20" in finding.message


def test_without_a_certificate_or_a_fingerprint_there_is_nothing_to_compare(
    repository: Repository, valid: Path
) -> None:
    assert check(repository({"keys/readme.md": "x"}), build_sealed("f" * 64)) == []
    assert check(repository({"keys/prod.pem": valid.read_bytes()}), build_sealed()) == []


def test_a_file_in_the_folder_that_is_no_certificate_is_an_error(repository: Repository, valid: Path) -> None:
    private = valid.with_name("key.pem").read_bytes()
    root = repository({"keys/prod.pem": valid.read_bytes(), "keys/private.pem": private, "other/x.pem": b"nothing"})
    known = read(root, build_sealed("f" * 64))
    assert [(finding.rule, finding.location.file) for finding in known.findings] == [
        ("sealed/no-certificate", "keys/private.pem")
    ]
    assert list(known.by_fingerprint) == [fingerprint(valid)]
    assert "PRIVATE" not in known.findings[0].message


def test_a_repository_without_sealed_secrets_has_no_certificates_to_check(repository: Repository) -> None:
    pod = build_resource({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})
    assert read(repository({"keys/prod.pem": b"nothing"}), pod) == KnownCertificates({}, [])
