"""The engine for sealed files: SealedSecrets and SOPS files are judged as they lie there, without any key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatekeeper.documents import Source
from gatekeeper.engines.sealed import certificates, conflicts, seals, sops_files, sops_rules
from gatekeeper.model import Finding, Resource
from gatekeeper.sops import files, rules
from gatekeeper.sources import Tree

SOPS_IN_JSON = (b'"sops":{', b'"ENC[AES256_GCM,')


def judge(tree: Tree, sources: Sequence[Source], resources: Sequence[Resource]) -> Iterator[Finding]:
    """All that is wrong with sealed files, so far as it can be told without a key."""
    known = certificates.read(tree, resources)
    yield from known.findings
    yield from certificates.judge(known, resources)
    yield from seals.judge(resources, {one.key.key_size // 8 for _, one in known.by_fingerprint.values()})
    yield from sops_rules.configs(tree)
    rules_of = sops_rules.lookup(tree)
    for file, content, found in _files(tree, sources):
        yield from conflicts.judge(file, content)
        own = rules_of(file)
        if found is None:
            yield from sops_rules.not_encrypted(file, content, own)
            continue
        yield from sops_files.judge(file, found, content, own.rule_for(file) if own else None)
        yield from sops_rules.judge(file, found, own)


def _files(tree: Tree, sources: Sequence[Source]) -> Iterator[tuple[str, bytes, files.SopsFile | None]]:
    """Files that may be encrypted, or should be: what they hold, and what sops makes of it."""
    parsed = {source.file: source for source in sources}
    for file in tree.files:
        source = parsed.get(file)
        if file.rpartition("/")[2] in (rules.NAME, rules.MISSPELT):
            continue
        says = sops_rules.SAYS_ENCRYPTED.search(file.rpartition("/")[2])
        if source is not None and source.broken is None and not says and not _has_sops(source):
            continue
        content = tree.read(file)
        if isinstance(content, bytes) and (says or files.may_be_one(content) or b"SealedSecret" in content):
            documents = source.documents if source is not None and source.broken is None else None
            yield file, content, files.read(file, content, documents)


def _has_sops(source: Source) -> bool:
    return any(mark in document.json for document in source.documents for mark in SOPS_IN_JSON)
