"""The engine for sealed files: SealedSecrets and SOPS files are judged as they lie there, without any key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gatekeeper.engines.encrypted import (
    candidates,
    certificates,
    merge_conflicts,
    scope_widening,
    sealed_values,
    sops_files,
    sops_rules,
)
from gatekeeper.model import Finding, Resource
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree


def judge(
    tree: Tree,
    sources: Sequence[Source],
    resources: Sequence[Resource],
    before: Callable[[str], bytes | None] | None = None,
) -> Iterator[Finding]:
    """All that is wrong with sealed files, so far as it can be told without a key.

    Args:
        before: of a change, what gives a file as it was; None for files that did not change.
    """
    if before:
        yield from scope_widening.judge(sources, before)
    known = certificates.read(tree, resources)
    yield from known.findings
    yield from certificates.judge(known, resources)
    yield from sealed_values.judge(resources, {one.key.key_size // 8 for _, one in known.by_fingerprint.values()})
    yield from sops_rules.configs(tree)
    rules_of = sops_rules.lookup(tree)
    for file, content, found in candidates.listed(tree, sources):
        yield from merge_conflicts.judge(file, content)
        own = rules_of(file)
        if found is None:
            yield from sops_rules.not_encrypted(file, content, own)
            continue
        yield from sops_files.judge(file, found, content, own.rule_for(file) if own else None)
        yield from sops_rules.judge(file, found, own)
