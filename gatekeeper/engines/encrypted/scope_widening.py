"""Finds SealedSecrets whose scope is wider than before, so that more users can have them decrypted.

A value with strict scope is decrypted only under its name and namespace; a value with cluster-wide scope in every
namespace in which a user can create a SealedSecret. Source: sealed-secrets CVE-2026-22728 and its scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Location, ObjectRef, ParsedDocument, get_field
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX, SCOPES, parse_scope
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile

ANNOTATIONS_PATH: FieldPath = ("metadata", "annotations")


def check_scope_widening(
    parsed_files: Sequence[ParsedFile], read_base_file: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    """Yield a finding for each SealedSecret whose scope is wider than at the base.

    Args:
        read_base_file: returns a file's content at the base; None if the file is new or did not change.
    """
    for source in parsed_files:
        sealed = [document for document in source.documents if document.head and document.head[1] == "SealedSecret"]
        old = read_base_file(source.file) if sealed else None
        scopes = _read_scopes(old) if old else {}
        for document in sealed:
            value = documents.to_value(document)
            now, then = parse_scope(get_field(value, ANNOTATIONS_PATH)), scopes.get(_parse_name(value))
            if then is not None and SCOPES.index(now) > SCOPES.index(then):
                yield _report_widening(source.file, document, then, now)


def _read_scopes(content: bytes) -> dict[tuple[str, str], str]:
    """The scope of each SealedSecret, by namespace and name."""
    values = [documents.to_value(document) for document in documents.parse(content)[0]]
    sealed = [value for value in values if get_field(value, ("kind",)) == "SealedSecret"]
    return {_parse_name(value): parse_scope(get_field(value, ANNOTATIONS_PATH)) for value in sealed}


def _parse_name(value: Any) -> tuple[str, str]:
    return str(get_field(value, ("metadata", "namespace"))), str(get_field(value, ("metadata", "name")))


def _report_widening(file: str, document: ParsedDocument, old_scope: str, new_scope: str) -> Finding:
    path = (*ANNOTATIONS_PATH, ANNOTATION_PREFIX + new_scope)
    _, line, column = document.locate(path, True)
    where = {"namespace-wide": "under any name in its namespace", "cluster-wide": "in any namespace"}[new_scope]
    message = (
        f"the scope was widened from {old_scope} to {new_scope}: users who can create SealedSecrets can now have it "
        f"decrypted {where}"
    )
    hint = f"seal it again with the scope {old_scope}, or waive the finding with a reason"
    ref = ObjectRef(*document.head) if document.head else None
    return Finding(
        rule="sealed/scope-widened",
        severity="error",
        message=message,
        location=Location(file, line, column),
        resource_ref=ref,
        field_path=path,
        hint=hint,
        location_precision="field",
    )
