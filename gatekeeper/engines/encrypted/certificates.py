"""SealedSecrets and the certificates in `keys/`: sealed with one that is not there, or that has expired."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper.config import KEYS
from gatekeeper.model import FieldPath, Finding, Gap, Place, Resource, Severity, at
from gatekeeper.sealedsecrets import scope
from gatekeeper.workspace.tree import Tree

if TYPE_CHECKING:
    from gatekeeper.sealedsecrets.keyring import Certificate

FOLDER = f"{KEYS}/"
SUFFIXES = (".pem", ".crt")
SEALED_WITH: FieldPath = ("metadata", "annotations", scope.SEALED_WITH)


class Known(NamedTuple):
    """The certificates of a repository: file and certificate by fingerprint; and files there that are none."""

    by_fingerprint: Mapping[str, tuple[str, Certificate]]
    findings: Sequence[Finding]


def read(tree: Tree, resources: Sequence[Resource]) -> Known:
    """The certificates in `keys/`, where anything is sealed."""
    files = [file for file in tree.files if file.startswith(FOLDER) and file.endswith(SUFFIXES)]
    known: dict[str, tuple[str, Certificate]] = {}
    findings: list[Finding] = []
    if not files or not any(resource.ref.kind == "SealedSecret" for resource in resources):
        return Known(known, findings)
    # Reading certificates takes a moment to load; most repositories have none.
    from gatekeeper.errors import SealError
    from gatekeeper.sealedsecrets import keyring

    for file in files:
        content = tree.read(file)
        if isinstance(content, Gap):
            continue
        try:
            one = keyring.certificate(content, file, must_be_valid=False)
        except SealError as error:
            hint = f"{FOLDER} holds certificates only"
            findings.append(Finding("sealed/no-certificate", "error", str(error), Place(file, 1, 1), hint=hint))
        else:
            known[one.fingerprint] = (file, one)
    return Known(known, findings)


def judge(known: Known, resources: Sequence[Resource]) -> Iterator[Finding]:
    """What is wrong with the certificates that values are sealed with, as far as the files tell with which."""
    if not known.by_fingerprint:
        return
    now = datetime.datetime.now(tz=datetime.UTC)
    for resource in resources:
        mark = at(resource.value, SEALED_WITH) if resource.ref.kind == "SealedSecret" else None
        if not mark:
            continue
        file, one = known.by_fingerprint.get(str(mark), ("", None))
        if one is None:
            message = f"is sealed with a certificate that is not in {FOLDER}: `{str(mark)[:16]}…`"
            hint = "seal it again with a certificate of the cluster, or add that certificate"
            yield _finding(resource, "sealed/unknown-certificate", "error", message, hint)
        elif one.ends < now:
            message = f"is sealed with {file}, which expired on {one.ends:%Y-%m-%d}"
            hint = "seal it again with the newest certificate of the cluster"
            yield _finding(resource, "sealed/expired-certificate", "warning", message, hint)


def _finding(resource: Resource, rule: str, severity: Severity, message: str, hint: str) -> Finding:
    place = resource.origin.place(SEALED_WITH)
    return Finding(rule, severity, message, place, resource.ref, SEALED_WITH, hint, "field")
