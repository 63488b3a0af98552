"""SOPS files and `.sops.yaml`: recipients that are not the rule's, no rule at all, a file that was never encrypted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from gatekeeper.engines.encrypted.sops_files import shorten_recipient
from gatekeeper.engines.findings import build_file_finding
from gatekeeper.model import Finding
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

# A name that says what the content should be.
ENCRYPTED_NAME = re.compile(r"(?:^|[._-])(?:enc|sops|encrypted)(?:[._-]|$)", re.IGNORECASE)


def build_rule_lookup(tree: Tree) -> Callable[[str], SopsConfig | None]:
    """What finds the rules of a file; each `.sops.yaml` is read once."""

    @cache
    def rules_of(name: str) -> SopsConfig | None:
        content = tree.read_file(name)
        return creation_rules.parse_config(name, content) if isinstance(content, bytes) else None

    @cache
    def of_folder(folder: str) -> SopsConfig | None:
        return creation_rules.find_nearest_config(_list_parent_folders(folder), rules_of)

    return lambda file: of_folder(file.rpartition("/")[0])


def _list_parent_folders(folder: str) -> Iterator[str]:
    while folder:
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
    yield ""


def check_configs(tree: Tree) -> Iterator[Finding]:
    """What is wrong with each `.sops.yaml` itself."""
    for file in tree.files:
        name = file.rpartition("/")[2]
        if name == MISSPELT_CONFIG_NAME:
            message = f"sops reads only `{creation_rules.CONFIG_NAME}`, so no rule of this file takes effect"
            yield build_file_finding(
                file, "sops/config-name", message, (1, 1), f"rename it to {creation_rules.CONFIG_NAME}"
            )
        elif name == creation_rules.CONFIG_NAME and isinstance(content := tree.read_file(file), bytes):
            for one in creation_rules.parse_config(file, content).problems:
                severity = "error" if one.is_error else "warning"
                place = (one.line, one.column)
                yield build_file_finding(file, "sops/config", one.message, place, one.hint, severity)  # type: ignore[arg-type]


def check_rule(file: str, sops_file: SopsFile, file_rules: SopsConfig | None) -> Iterator[Finding]:
    """Whether a file is encrypted as its rule says."""
    if file_rules is None or sops_file.metadata is None:
        return
    rule = file_rules.find_rule(file)
    if rule is None:
        message = f"no rule in {file_rules.file} is for this file: whoever encrypts it anew has to know for whom"
        hint = "add a rule with a `path_regex` for it"
        yield build_file_finding(file, "sops/no-rule", message, sops_file.locate(), hint, "warning")
        return
    where = f"{file_rules.file}, rule {rule.number + 1}"
    yield from _check_recipients(file, sops_file, rule, where)
    own = (*parse_selectors(sops_file.metadata), DEFAULT_SELECTOR)[0]
    wanted = (*rule.selectors, DEFAULT_SELECTOR)[0]
    if own != wanted and sops_file.format != "binary":
        message = f"was encrypted with `{own[0]}: {own[1]}`; {where}, says `{wanted[0]}: {wanted[1]}`"
        hint = "decrypt and encrypt it again, so that the rule takes effect"
        yield build_file_finding(file, "sops/rule-changed", message, sops_file.locate(own[0]), hint, "warning")


def _check_recipients(file: str, sops_file: SopsFile, rule: CreationRule, rule_location: str) -> Iterator[Finding]:
    own = recipients.parse_metadata_groups(sops_file.metadata or {})
    if not rule.groups:
        return
    lacking, too_many = recipients.compare_groups(rule.groups, own)
    hint = f"gatekeeper sops updatekeys {file}"
    if lacking:
        words = ", ".join(map(shorten_recipient, lacking))
        yield build_file_finding(
            file, "sops/recipients", f"is not encrypted for {words}, as {rule_location}, says", sops_file.locate(), hint
        )
    if too_many:
        places = dict(recipients.locate_recipients(sops_file.metadata))
        words = ", ".join(map(shorten_recipient, too_many))
        message = f"is still encrypted for {words}, whom {rule_location}, does not name"
        more = f"{hint}; then change the values, they could be read"
        yield build_file_finding(file, "sops/recipients", message, sops_file.locate(*places.get(too_many[0], ())), more)
    threshold = (sops_file.metadata or {}).get("shamir_threshold") or len(own)
    wanted = rule.threshold or len(rule.groups)
    is_other = str(threshold) != str(wanted) or len(own) != len(rule.groups)
    if not lacking and not too_many and len(rule.groups) > 1 and is_other:
        message = f"needs {threshold} of {len(own)} key groups; {rule_location}, says {wanted} of {len(rule.groups)}"
        yield build_file_finding(file, "sops/recipients", message, sops_file.locate("shamir_threshold"), hint)


def check_not_encrypted(file: str, content: bytes, file_rules: SopsConfig | None) -> Iterator[Finding]:
    """A file whose name and rule say that it is encrypted, and that is not."""
    if file_rules is None or not content.strip() or not ENCRYPTED_NAME.search(file.rpartition("/")[2]):
        return
    rule = file_rules.find_rule(file)
    if rule is not None and rule.path_regex:
        message = f"is not encrypted, as its name and {file_rules.file}, rule {rule.number + 1}, say it should be"
        hint = f"gatekeeper sops encrypt {file}; change what is secret in it, it has been seen"
        yield build_file_finding(file, "sops/not-encrypted", message, (1, 1), hint)
