"""`.sops.yaml`: which rule a file falls under, and what it says.

Source: getsops/sops `config/config.go`: the first rule whose `path_regex` is found in the path counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.gocompat.regexp import compiled
from gatekeeper.model import FieldPath, at
from gatekeeper.sops import recipients
from gatekeeper.sops.recipients import Groups
from gatekeeper.workspace import documents

NAME = ".sops.yaml"
MISSPELT = ".sops.yml"
SELECTORS = (
    "unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex", "unencrypted_comment_regex",
    "encrypted_comment_regex",
)  # fmt: skip
# What sops does where neither rule nor file says anything.
DEFAULT = ("unencrypted_suffix", "_unencrypted")
KNOWN = {
    *SELECTORS, *recipients.FLAT_FIELDS, "path_regex", "aws_profile", "key_groups", "shamir_threshold",
    "mac_only_encrypted",
}  # fmt: skip


class Selector(NamedTuple):
    """Which values are encrypted: one of `SELECTORS`, and its text."""

    name: str
    text: str

    def encrypts(self, path: Sequence[str]) -> bool | None:
        """Whether a value is to be encrypted, by its keys; None where only comments tell."""
        if self.name.endswith("comment_regex"):
            return None
        if self.name.endswith("suffix"):
            is_met = any(key.endswith(self.text) for key in path)
        else:
            pattern = compiled(self.text)
            is_met = pattern is not None and any(pattern.search(key) is not None for key in path)
        return is_met == (not self.name.startswith("un"))


class Rule(NamedTuple):
    """One creation rule.

    Attributes:
        number: its place in the list, from 0.
        path_regex: empty where it takes every file.
        selectors: those it names; more than one is a fault.
    """

    number: int
    path_regex: str
    groups: Groups
    threshold: int
    selectors: tuple[Selector, ...]


class Problem(NamedTuple):
    """Something wrong in a `.sops.yaml`: what, where, what to do, and whether sops refuses it."""

    message: str
    line: int
    column: int
    hint: str
    is_error: bool = True


class Rules(NamedTuple):
    """A `.sops.yaml`: its path, its rules, and what is wrong with it."""

    file: str
    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]

    def rule_for(self, file: str) -> Rule | None:
        """The rule of a file, by its path from the repository's root."""
        folder = self.file[: -len(NAME)]
        path = file.removeprefix(folder)
        for rule in self.rules:
            pattern = compiled(rule.path_regex) if rule.path_regex else None
            if not rule.path_regex or (pattern is not None and pattern.search(path)):
                return rule
        return None


def selectors(holder: Any) -> tuple[Selector, ...]:
    """The selectors that a rule, or the metadata of a file, names."""
    found = ((name, at(holder, (name,))) for name in SELECTORS)
    return tuple(Selector(name, text) for name, text in found if isinstance(text, str) and text)


def read(file: str, content: bytes) -> Rules:
    """What a `.sops.yaml` says; what cannot be read of it is among the problems."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        message, line, column = failure
        return Rules(file, (), (Problem(f"is no YAML: {message}", line, column, "mend it; sops reads none of it"),))
    value = documents.value_of(parsed[0]) if parsed else {}
    listed = at(value, ("creation_rules",))
    if not isinstance(listed, list):
        return Rules(file, (), ())
    problems: list[Problem] = []
    for number, held in enumerate(listed):
        for path, message, hint, is_error in _problems(held):
            _, line, column = parsed[0].locate(("creation_rules", number, *path), True)
            problems.append(Problem(message, line, column, hint, is_error))
    return Rules(file, tuple(_rule(number, held) for number, held in enumerate(listed)), tuple(problems))


def _rule(number: int, held: Any) -> Rule:
    threshold = at(held, ("shamir_threshold",))
    groups = recipients.of_rule(held) if isinstance(held, dict) else ()
    regex = at(held, ("path_regex",))
    return Rule(number, str(regex or ""), groups, threshold if isinstance(threshold, int) else 0, selectors(held))


def _problems(held: Any) -> Iterator[tuple[FieldPath, str, str, bool]]:
    if not isinstance(held, dict):
        yield (), "a creation rule must be a mapping", "write `path_regex` and recipients", True
        return
    for field in held.keys() - KNOWN:
        near = field.replace("-", "_").lower()
        hint = f"write `{near}`" if near in KNOWN else "remove it, or correct its name"
        yield (field,), f"sops knows no field `{field}` in a rule, and ignores it", hint, False
    for name in ("path_regex", *(one for one in SELECTORS if one.endswith("regex"))):
        text = held.get(name)
        if isinstance(text, str) and compiled(text) is None:
            yield (name,), f"`{name}` is no regular expression that Go takes", "correct it: sops refuses the rule", True
    named = selectors(held)
    if len(named) > 1:
        words = " and ".join(f"`{one.name}`" for one in named)
        yield (named[1].name,), f"a rule must not have both {words}", "keep one: sops refuses the rule", True
    if not recipients.of_rule(held):
        yield (), "the rule names no recipient, so nothing can be encrypted by it", "add `age`, `pgp` or a KMS", False


def nearest(folders: Iterable[str], rules_of: Callable[[str], Rules | None]) -> Rules | None:
    """The rules that count: of the first `.sops.yaml` that has any.

    Args:
        folders: from the file's own upwards, each with a `/` behind it; empty for the root of a repository.
        rules_of: what a `.sops.yaml` says; None where there is none.
    """
    for folder in folders:
        found = rules_of(f"{folder}{NAME}")
        if found is not None and (found.rules or found.problems):
            return found
    return None
