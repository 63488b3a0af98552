"""Checks the certificates in `keys/`, and that SealedSecrets use one of them that has not expired."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gatekeeper.config import CERTIFICATE_FOLDER
from gatekeeper.errors import SecretFileError
from gatekeeper.model import Finding, Gap, Location, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sealedsecrets import scope
from gatekeeper.workspace.tree import Tree

if TYPE_CHECKING:
    from gatekeeper.sealedsecrets.keyring import SealingCertificate

KEYS_FOLDER = f"{CERTIFICATE_FOLDER}/"
CERTIFICATE_SUFFIXES = (".pem", ".crt")


class KnownCertificates(NamedTuple):
    """File and certificate by fingerprint, and findings for files in `keys/` that are not certificates."""

    by_fingerprint: Mapping[str, tuple[str, SealingCertificate]]
    findings: Sequence[Finding]


def read_certificates(tree: Tree, resources: Sequence[Resource]) -> KnownCertificates:
    """Read the certificates in `keys/`; an empty result if the repository has no SealedSecrets."""
    files = [file for file in tree.files if file.startswith(KEYS_FOLDER) and file.endswith(CERTIFICATE_SUFFIXES)]
    known: dict[str, tuple[str, SealingCertificate]] = {}
    findings: list[Finding] = []
    if not files or not any(resource.ref.kind == "SealedSecret" for resource in resources):
        return KnownCertificates(known, findings)
    # Imported here: `cryptography` loads slowly, and most repositories have no certificates.
    from gatekeeper.sealedsecrets import keyring

    for file in files:
        content = tree.read_file(file)
        if isinstance(content, Gap):
            continue
        try:
            certificate = keyring.parse_certificate(content, file, must_be_valid=False)
        except SecretFileError as error:
            hint = f"move the file: {KEYS_FOLDER} may contain only certificates"
            findings.append(Finding("sealed/no-certificate", "error", str(error), Location(file, 1, 1), hint=hint))
        else:
            known[certificate.fingerprint] = (file, certificate)
    return KnownCertificates(known, findings)


def check_certificates(certificates: KnownCertificates, resources: Sequence[Resource]) -> Iterator[Finding]:
    """Find SealedSecrets whose certificate is not in `keys/` or has expired, if they name their certificate."""
    if not certificates.by_fingerprint:
        return
    now = datetime.datetime.now(tz=datetime.UTC)
    for resource in resources:
        path, fingerprint = scope.find_sealed_with(resource.value) if resource.ref.kind == "SealedSecret" else ((), "")
        if not fingerprint:
            continue
        file, certificate = certificates.by_fingerprint.get(fingerprint, ("", None))
        if certificate is None:
            message = f"is sealed with a certificate that is not in {KEYS_FOLDER}: `{fingerprint[:16]}…`"
            hint = "seal it again with a certificate of the cluster, or add that certificate"
            yield resource.build_finding("sealed/unknown-certificate", message, path, hint=hint)
        elif certificate.not_after < now:
            message = f"is sealed with {file}, which expired on {certificate.not_after:%Y-%m-%d}"
            hint = "seal it again with the newest certificate of the cluster"
            yield resource.build_finding("sealed/expired-certificate", message, path, hint=hint, severity="warning")
