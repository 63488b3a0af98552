"""SealedSecrets and the certificates in `keys/`: sealed with one that is not there, or that has expired."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper.config import CERTIFICATE_FOLDER
from gatekeeper.engines.findings import build_finding
from gatekeeper.model import FieldPath, Finding, Gap, Location, Resource, Severity
from gatekeeper.sealedsecrets import scope
from gatekeeper.workspace.tree import Tree

if TYPE_CHECKING:
    from gatekeeper.sealedsecrets.keyring import SealingCertificate

KEYS_FOLDER = f"{CERTIFICATE_FOLDER}/"
CERTIFICATE_SUFFIXES = (".pem", ".crt")


class KnownCertificates(NamedTuple):
    """The certificates of a repository: file and certificate by fingerprint; and files there that are none."""

    by_fingerprint: Mapping[str, tuple[str, SealingCertificate]]
    findings: Sequence[Finding]


def read_certificates(tree: Tree, resources: Sequence[Resource]) -> KnownCertificates:
    """The certificates in `keys/`, where anything is sealed."""
    files = [file for file in tree.files if file.startswith(KEYS_FOLDER) and file.endswith(CERTIFICATE_SUFFIXES)]
    known: dict[str, tuple[str, SealingCertificate]] = {}
    findings: list[Finding] = []
    if not files or not any(resource.ref.kind == "SealedSecret" for resource in resources):
        return KnownCertificates(known, findings)
    # Reading certificates takes a moment to load; most repositories have none.
    from gatekeeper.errors import SealError
    from gatekeeper.sealedsecrets import keyring

    for file in files:
        content = tree.read_file(file)
        if isinstance(content, Gap):
            continue
        try:
            one = keyring.parse_certificate(content, file, must_be_valid=False)
        except SealError as error:
            hint = f"{KEYS_FOLDER} holds certificates only"
            findings.append(Finding("sealed/no-certificate", "error", str(error), Location(file, 1, 1), hint=hint))
        else:
            known[one.fingerprint] = (file, one)
    return KnownCertificates(known, findings)


def check_certificates(certificates: KnownCertificates, resources: Sequence[Resource]) -> Iterator[Finding]:
    """What is wrong with the certificates that values are sealed with, as far as the files tell with which."""
    if not certificates.by_fingerprint:
        return
    now = datetime.datetime.now(tz=datetime.UTC)
    for resource in resources:
        path, mark = scope.find_sealed_with(resource.value) if resource.ref.kind == "SealedSecret" else ((), "")
        if not mark:
            continue
        file, one = certificates.by_fingerprint.get(mark, ("", None))
        if one is None:
            message = f"is sealed with a certificate that is not in {KEYS_FOLDER}: `{mark[:16]}…`"
            hint = "seal it again with a certificate of the cluster, or add that certificate"
            yield _build_finding(resource, path, "sealed/unknown-certificate", "error", message, hint)
        elif one.not_after < now:
            message = f"is sealed with {file}, which expired on {one.not_after:%Y-%m-%d}"
            hint = "seal it again with the newest certificate of the cluster"
            yield _build_finding(resource, path, "sealed/expired-certificate", "warning", message, hint)


def _build_finding(
    resource: Resource, path: FieldPath, rule: str, severity: Severity, message: str, hint: str
) -> Finding:
    return build_finding(resource, rule, message, path, hint=hint, severity=severity)
