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
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree


def evaluate(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    resources: Sequence[Resource],
    read_base_file: Callable[[str], bytes | None] | None = None,
) -> Iterator[Finding]:
    """All that is wrong with sealed files, so far as it can be told without a key.

    Args:
        read_base_file: of a change, what gives a file as it was; None for files that did not change.
    """
    if read_base_file:
        yield from scope_widening.check_scope_widening(parsed_files, read_base_file)
    known = certificates.read_certificates(tree, resources)
    yield from known.findings
    yield from certificates.check_certificates(known, resources)
    yield from sealed_values.check_sealed_values(
        resources, {one.public_key.key_size // 8 for _, one in known.by_fingerprint.values()}
    )
    yield from sops_rules.check_configs(tree)
    rules_of = sops_rules.build_rule_lookup(tree)
    for file, content, found in candidates.find_candidates(tree, parsed_files):
        yield from merge_conflicts.check_merge_conflicts(file, content)
        own = rules_of(file)
        if found is None:
            yield from sops_rules.check_not_encrypted(file, content, own)
            continue
        yield from sops_files.check_sops_file(file, found, content, own.find_rule(file) if own else None)
        yield from sops_rules.check_rule(file, found, own)
