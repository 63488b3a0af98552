"""Checks SOPS files against `.sops.yaml`: wrong recipients, files without a rule, files that were never encrypted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from gatekeeper.engines.encrypted.sops_files import shorten_recipient
from gatekeeper.engines.findings import build_file_finding
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Severity
from gatekeeper.sops import creation_rules, recipients
from gatekeeper.sops.creation_rules import (
    DEFAULT_SELECTOR,
    MISSPELT_CONFIG_NAME,
    CreationRule,
    SopsConfig,
    parse_selectors,
)
from gatekeeper.sops.sops_file import SopsFile
from gatekeeper.workspace.tree import Tree

# A file name that says that the content is encrypted.
ENCRYPTED_NAME = compile_lazily(r"(?:^|[._-])(?:enc|sops|encrypted)(?:[._-]|$)", re.IGNORECASE)


def build_rule_lookup(tree: Tree) -> Callable[[str], SopsConfig | None]:
    """Build a function that finds the `.sops.yaml` of a file; each one is read once."""

    @cache
    def read_config(name: str) -> SopsConfig | None:
        content = tree.read_file(name)
        return creation_rules.parse_config(name, content) if isinstance(content, bytes) else None

    @cache
    def find_config(folder: str) -> SopsConfig | None:
        return creation_rules.find_nearest_config(_list_parent_folders(folder), read_config)

    return lambda file: find_config(file.rpartition("/")[0])


def _list_parent_folders(folder: str) -> Iterator[str]:
    while folder:
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
    yield ""


def check_configs(tree: Tree) -> Iterator[Finding]:
    """Yield the faults of each `.sops.yaml`."""
    for file in tree.files:
        name = file.rpartition("/")[2]
        if name == MISSPELT_CONFIG_NAME:
            message = f"sops reads only `{creation_rules.CONFIG_NAME}`, so no rule of this file takes effect"
            yield build_file_finding(
                file, "sops/config-name", message, (1, 1), f"rename it to {creation_rules.CONFIG_NAME}"
            )
        elif name == creation_rules.CONFIG_NAME and isinstance(content := tree.read_file(file), bytes):
            for problem in creation_rules.parse_config(file, content).problems:
                severity: Severity = "error" if problem.is_error else "warning"
                place = (problem.line, problem.column)
                yield build_file_finding(file, "sops/config", problem.message, place, problem.hint, severity=severity)


def check_rule(file: str, sops_file: SopsFile, file_rules: SopsConfig | None) -> Iterator[Finding]:
    """Check that a file is encrypted as its creation rule requires."""
    if file_rules is None or sops_file.metadata is None:
        return
    rule = file_rules.find_rule(file)
    if rule is None:
        message = f"no creation rule in {file_rules.file} matches this file: sops cannot find its recipients"
        hint = "add a creation rule with a `path_regex` that matches the file"
        yield build_file_finding(file, "sops/no-rule", message, sops_file.locate(), hint, severity="warning")
        return
    where = f"{file_rules.file}, rule {rule.number + 1}"
    yield from _check_recipients(file, sops_file, rule, where)
    own = (*parse_selectors(sops_file.metadata), DEFAULT_SELECTOR)[0]
    required = (*rule.selectors, DEFAULT_SELECTOR)[0]
    if own != required and sops_file.format != "binary":
        message = f"was encrypted with `{own[0]}: {own[1]}`; {where}, requires `{required[0]}: {required[1]}`"
        hint = "decrypt the file and encrypt it again, so that the rule takes effect"
        yield build_file_finding(file, "sops/rule-changed", message, sops_file.locate(own[0]), hint, severity="warning")


def _check_recipients(file: str, sops_file: SopsFile, rule: CreationRule, rule_location: str) -> Iterator[Finding]:
    own = recipients.parse_metadata_groups(sops_file.metadata or {})
    if not rule.groups:
        return
    missing, extra = recipients.compare_groups(rule.groups, own)
    hint = f"gatekeeper sops updatekeys {file}"
    if missing:
        words = ", ".join(map(shorten_recipient, missing))
        yield build_file_finding(
            file,
            "sops/recipients",
            f"is not encrypted for {words}, which {rule_location}, requires",
            sops_file.locate(),
            hint,
        )
    if extra:
        places = dict(recipients.locate_recipients(sops_file.metadata))
        words = ", ".join(map(shorten_recipient, extra))
        message = f"is still encrypted for {words}, which {rule_location}, does not list"
        rotate_hint = f"{hint}; then rotate the secrets, because these recipients could read them"
        yield build_file_finding(
            file, "sops/recipients", message, sops_file.locate(*places.get(extra[0], ())), rotate_hint
        )
    threshold = (sops_file.metadata or {}).get("shamir_threshold") or len(own)
    required = rule.threshold or len(rule.groups)
    is_other = str(threshold) != str(required) or len(own) != len(rule.groups)
    if not missing and not extra and len(rule.groups) > 1 and is_other:
        message = (
            f"needs {threshold} of {len(own)} key groups; {rule_location}, requires {required} of {len(rule.groups)}"
        )
        yield build_file_finding(file, "sops/recipients", message, sops_file.locate("shamir_threshold"), hint)


def check_not_encrypted(file: str, content: bytes, file_rules: SopsConfig | None) -> Iterator[Finding]:
    """Report a file that is not encrypted although its name and its creation rule say so."""
    if file_rules is None or not content.strip() or not ENCRYPTED_NAME.search(file.rpartition("/")[2]):
        return
    rule = file_rules.find_rule(file)
    if rule is not None and rule.path_regex:
        message = f"is not encrypted, but its name and {file_rules.file}, rule {rule.number + 1}, require it"
        hint = f"gatekeeper sops encrypt {file}; then rotate its secrets, because they are in the Git history"
        yield build_file_finding(file, "sops/not-encrypted", message, (1, 1), hint)
