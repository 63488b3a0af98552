"""Which files of a tree may be encrypted, or should be: what they hold, and what sops makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatekeeper.engines.encrypted.sops_rules import SAYS_ENCRYPTED
from gatekeeper.sops import creation_rules, sops_file
from gatekeeper.sops.sops_file import SopsFile
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

SOPS_IN_JSON = (b'"sops":{', b'"ENC[AES256_GCM,')


def listed(tree: Tree, sources: Sequence[Source]) -> Iterator[tuple[str, bytes, SopsFile | None]]:
    """Each such file; as a SOPS file where it is one."""
    parsed = {source.file: source for source in sources}
    for file in tree.files:
        source = parsed.get(file)
        if file.rpartition("/")[2] in (creation_rules.NAME, creation_rules.MISSPELT):
            continue
        says = SAYS_ENCRYPTED.search(file.rpartition("/")[2])
        if source is not None and source.broken is None and not says and not _has_sops(source):
            continue
        content = tree.read(file)
        if isinstance(content, bytes) and (says or sops_file.may_be_one(content) or b"SealedSecret" in content):
            documents = source.documents if source is not None and source.broken is None else None
            yield file, content, sops_file.read(file, content, documents)


def _has_sops(source: Source) -> bool:
    return any(mark in document.json for document in source.documents for mark in SOPS_IN_JSON)
