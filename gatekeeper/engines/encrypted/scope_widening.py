"""SealedSecrets whose scope is wider than it was: more people can have them opened than those who agreed to it.

A value that is bound to its name and namespace can be opened there only; one that is bound to nothing opens in any
namespace that somebody may write to. Source: sealed-secrets CVE-2026-22728 and its scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Place, Ref, at
from gatekeeper.protocols import Positions
from gatekeeper.sealedsecrets.scope import PREFIX, SCOPES, scope_of
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source

ANNOTATIONS: FieldPath = ("metadata", "annotations")


def judge(sources: Sequence[Source], before: Callable[[str], bytes | None]) -> Iterator[Finding]:
    """What is wider now than in the file as it was.

    Args:
        before: a file's content at the base; None where it is new or did not change.
    """
    for source in sources:
        sealed = [one for one in source.documents if one.head and one.head[1] == "SealedSecret"]
        old = before(source.file) if sealed else None
        scopes = _scopes(old) if old else {}
        for document in sealed:
            value = documents.value_of(document)
            now, then = scope_of(at(value, ANNOTATIONS)), scopes.get(_name(value))
            if then is not None and SCOPES.index(now) > SCOPES.index(then):
                yield _finding(source.file, document, then, now)


def _scopes(content: bytes) -> dict[tuple[str, str], str]:
    """The scope of each SealedSecret, by namespace and name."""
    values = [documents.value_of(one) for one in documents.parse(content)[0]]
    sealed = [value for value in values if at(value, ("kind",)) == "SealedSecret"]
    return {_name(value): scope_of(at(value, ANNOTATIONS)) for value in sealed}


def _name(value: Any) -> tuple[str, str]:
    return str(at(value, ("metadata", "namespace"))), str(at(value, ("metadata", "name")))


def _finding(file: str, document: Positions, then: str, now: str) -> Finding:
    path = (*ANNOTATIONS, PREFIX + now)
    _, line, column = document.locate(path, True)
    where = {"namespace-wide": "under any name in its namespace", "cluster-wide": "in any namespace"}[now]
    message = f"its scope was {then} and is {now}: whoever may make a SealedSecret can now have it opened {where}"
    hint = f"seal it with the scope {then} again, or waive this with a reason"
    ref = Ref(*document.head) if document.head else None
    return Finding("sealed/scope-widened", "error", message, Place(file, line, column), ref, path, hint, "field")
