"""SealedSecrets and the certificates in `keys/`: sealed with one that is not there, or that has expired."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gatekeeper.config import KEYS
from gatekeeper.model import FieldPath, Finding, Gap, Place, Resource, at
from gatekeeper.sealing import scopes
from gatekeeper.sources import Tree

if TYPE_CHECKING:
    from gatekeeper.sealing.keyring import Certificate

FOLDER = f"{KEYS}/"
SUFFIXES = (".pem", ".crt")
SEALED_WITH: FieldPath = ("metadata", "annotations", scopes.SEALED_WITH)


def judge(tree: Tree, resources: Sequence[Resource]) -> Iterator[Finding]:
    """What is wrong with the certificates that values are sealed with, as far as the files tell with which."""
    named = [
        (resource, str(mark))
        for resource in resources
        if resource.ref.kind == "SealedSecret" and (mark := at(resource.value, SEALED_WITH))
    ]
    files = [file for file in tree.files if file.startswith(FOLDER) and file.endswith(SUFFIXES)]
    if not named or not files:
        return
    known: dict[str, tuple[str, Certificate]] = {}
    yield from _read(tree, files, known)
    now = datetime.datetime.now(tz=datetime.UTC)
    for resource, mark in named:
        place = resource.origin.place(SEALED_WITH)
        if mark not in known:
            message = f"is sealed with a certificate that is not in {FOLDER}: `{mark[:16]}…`"
            hint = "seal it again with a certificate of the cluster, or add that certificate"
            yield Finding(
                "sealed/unknown-certificate", "error", message, place, resource.ref, SEALED_WITH, hint, "field"
            )
        elif known[mark][1].ends < now:
            message = f"is sealed with {known[mark][0]}, which expired on {known[mark][1].ends:%Y-%m-%d}"
            hint = "seal it again with the newest certificate of the cluster"
            yield Finding(
                "sealed/expired-certificate", "warning", message, place, resource.ref, SEALED_WITH, hint, "field"
            )


def _read(tree: Tree, files: Sequence[str], known: dict[str, tuple[str, Certificate]]) -> Iterator[Finding]:
    # Reading certificates takes a moment to load; most repositories have none.
    from gatekeeper.errors import SealError
    from gatekeeper.sealing import keyring

    for file in files:
        content = tree.read(file)
        if isinstance(content, Gap):
            continue
        try:
            one = keyring.certificate(content, file, must_be_valid=False)
        except SealError as error:
            hint = f"{FOLDER} holds certificates only"
            yield Finding("sealed/no-certificate", "error", str(error), Place(file, 1, 1), hint=hint)
        else:
            known[one.fingerprint] = (file, one)
