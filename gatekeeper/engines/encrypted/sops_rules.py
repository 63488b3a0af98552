"""SOPS files and `.sops.yaml`: recipients that are not the rule's, no rule at all, a file that was never encrypted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from gatekeeper.engines.encrypted.sops_files import finding, shortened
from gatekeeper.model import Finding
from gatekeeper.sops import creation_rules, recipients
from gatekeeper.sops.creation_rules import DEFAULT, MISSPELT, Rule, Rules, selectors
from gatekeeper.sops.sops_file import SopsFile
from gatekeeper.workspace.tree import Tree

# A name that says what the content should be.
SAYS_ENCRYPTED = re.compile(r"(?:^|[._-])(?:enc|sops|encrypted)(?:[._-]|$)", re.IGNORECASE)


def lookup(tree: Tree) -> Callable[[str], Rules | None]:
    """What finds the rules of a file; each `.sops.yaml` is read once."""

    @cache
    def rules_of(name: str) -> Rules | None:
        content = tree.read(name)
        return creation_rules.read(name, content) if isinstance(content, bytes) else None

    @cache
    def of_folder(folder: str) -> Rules | None:
        return creation_rules.nearest(_upwards(folder), rules_of)

    return lambda file: of_folder(file.rpartition("/")[0])


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
    yield ""


def configs(tree: Tree) -> Iterator[Finding]:
    """What is wrong with each `.sops.yaml` itself."""
    for file in tree.files:
        name = file.rpartition("/")[2]
        if name == MISSPELT:
            message = f"sops reads only `{creation_rules.NAME}`, so no rule of this file takes effect"
            yield finding(file, "sops/config-name", message, (1, 1), f"rename it to {creation_rules.NAME}")
        elif name == creation_rules.NAME and isinstance(content := tree.read(file), bytes):
            for one in creation_rules.read(file, content).problems:
                severity = "error" if one.is_error else "warning"
                place = (one.line, one.column)
                yield finding(file, "sops/config", one.message, place, one.hint, severity)  # type: ignore[arg-type]


def judge(file: str, found: SopsFile, known: Rules | None) -> Iterator[Finding]:
    """Whether a file is encrypted as its rule says."""
    if known is None or found.metadata is None:
        return
    rule = known.rule_for(file)
    if rule is None:
        message = f"no rule in {known.file} is for this file: whoever encrypts it anew has to know for whom"
        hint = "add a rule with a `path_regex` for it"
        yield finding(file, "sops/no-rule", message, found.place(), hint, "warning")
        return
    where = f"{known.file}, rule {rule.number + 1}"
    yield from _recipients(file, found, rule, where)
    own = (*selectors(found.metadata), DEFAULT)[0]
    wanted = (*rule.selectors, DEFAULT)[0]
    if own != wanted and found.format != "binary":
        message = f"was encrypted with `{own[0]}: {own[1]}`; {where}, says `{wanted[0]}: {wanted[1]}`"
        hint = "decrypt and encrypt it again, so that the rule takes effect"
        yield finding(file, "sops/rule-changed", message, found.place(own[0]), hint, "warning")


def _recipients(file: str, found: SopsFile, rule: Rule, where: str) -> Iterator[Finding]:
    own = recipients.of_metadata(found.metadata or {})
    if not rule.groups:
        return
    lacking, too_many = recipients.apart(rule.groups, own)
    hint = f"gatekeeper sops updatekeys {file}"
    if lacking:
        words = ", ".join(map(shortened, lacking))
        yield finding(file, "sops/recipients", f"is not encrypted for {words}, as {where}, says", found.place(), hint)
    if too_many:
        places = dict(recipients.listed(found.metadata))
        words = ", ".join(map(shortened, too_many))
        message = f"is still encrypted for {words}, whom {where}, does not name"
        more = f"{hint}; then change the values, they could be read"
        yield finding(file, "sops/recipients", message, found.place(*places.get(too_many[0], ())), more)
    threshold = (found.metadata or {}).get("shamir_threshold") or len(own)
    wanted = rule.threshold or len(rule.groups)
    is_other = str(threshold) != str(wanted) or len(own) != len(rule.groups)
    if not lacking and not too_many and len(rule.groups) > 1 and is_other:
        message = f"needs {threshold} of {len(own)} key groups; {where}, says {wanted} of {len(rule.groups)}"
        yield finding(file, "sops/recipients", message, found.place("shamir_threshold"), hint)


def not_encrypted(file: str, content: bytes, known: Rules | None) -> Iterator[Finding]:
    """A file whose name and rule say that it is encrypted, and that is not."""
    if known is None or not content.strip() or not SAYS_ENCRYPTED.search(file.rpartition("/")[2]):
        return
    rule = known.rule_for(file)
    if rule is not None and rule.path_regex:
        message = f"is not encrypted, as its name and {known.file}, rule {rule.number + 1}, say it should be"
        hint = f"gatekeeper sops encrypt {file}; change what is secret in it, it has been seen"
        yield finding(file, "sops/not-encrypted", message, (1, 1), hint)
