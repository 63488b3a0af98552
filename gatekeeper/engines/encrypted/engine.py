"""The engine for encrypted files: checks SealedSecrets and SOPS files without any key."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.engines.encrypted import (
    candidates,
    certificates,
    merge_conflicts,
    scope_widening,
    sealed_values,
    sops_files,
    sops_rules,
)
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.model import Finding

STEP = "checking encrypted files"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Checks all SealedSecrets and SOPS files, as far as that is possible without a key."""
    return EngineResult(list(_find_faults(context)))


def _find_faults(context: EngineContext) -> Iterator[Finding]:
    tree, resources = context.shard_files, context.resources
    if context.read_base_file:
        yield from scope_widening.check_scope_widening(context.parsed_files, context.read_base_file)
    known = certificates.read_certificates(tree, resources)
    yield from known.findings
    yield from certificates.check_certificates(known, resources)
    yield from sealed_values.check_sealed_values(
        resources, {certificate.public_key.key_size // 8 for _, certificate in known.by_fingerprint.values()}
    )
    yield from sops_rules.check_configs(tree)
    find_rules = sops_rules.build_rule_lookup(tree)
    for file, content, sops_file in candidates.find_candidates(tree, context.parsed_files):
        yield from merge_conflicts.check_merge_conflicts(file, content)
        file_rules = find_rules(file)
        if sops_file is None:
            yield from sops_rules.check_not_encrypted(file, content, file_rules)
            continue
        rule = file_rules.find_rule(file) if file_rules else None
        yield from sops_files.check_sops_file(file, sops_file, content, rule)
        yield from sops_rules.check_rule(file, sops_file, file_rules)
