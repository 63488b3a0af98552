"""`.sops.yaml`: which rule a file falls under, and what it says.

Source: getsops/sops `config/config.go`: the first rule whose `path_regex` is found in the path counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.gocompat.regexp import compile_pattern
from gatekeeper.model import FieldPath, get_field
from gatekeeper.sops import recipients
from gatekeeper.sops.recipients import KeyGroups
from gatekeeper.workspace import documents

CONFIG_NAME = ".sops.yaml"
MISSPELT_CONFIG_NAME = ".sops.yml"
SELECTOR_NAMES = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
# What sops does where neither rule nor file says anything.
DEFAULT_SELECTOR = ("unencrypted_suffix", "_unencrypted")
KNOWN_FIELDS = {
    *SELECTOR_NAMES,
    *recipients.RULE_FIELDS,
    "path_regex",
    "aws_profile",
    "key_groups",
    "shamir_threshold",
    "mac_only_encrypted",
}


class SopsSelector(NamedTuple):
    """Which values are encrypted: one of `SELECTORS`, and its text."""

    name: str
    text: str

    def should_encrypt(self, path: Sequence[str]) -> bool | None:
        """Whether a value is to be encrypted, by its keys; None where only comments tell."""
        if self.name.endswith("comment_regex"):
            return None
        if self.name.endswith("suffix"):
            is_met = any(key.endswith(self.text) for key in path)
        else:
            pattern = compile_pattern(self.text)
            is_met = pattern is not None and any(pattern.search(key) is not None for key in path)
        return is_met == (not self.name.startswith("un"))


class CreationRule(NamedTuple):
    """One creation rule.

    Attributes:
        number: its place in the list, from 0.
        path_regex: empty where it takes every file.
        selectors: those it names; more than one is a fault.
    """

    number: int
    path_regex: str
    groups: KeyGroups
    threshold: int
    selectors: tuple[SopsSelector, ...]


class ConfigProblem(NamedTuple):
    """Something wrong in a `.sops.yaml`: what, where, what to do, and whether sops refuses it."""

    message: str
    line: int
    column: int
    hint: str
    is_error: bool = True


class SopsConfig(NamedTuple):
    """A `.sops.yaml`: its path, its rules, and what is wrong with it."""

    file: str
    rules: tuple[CreationRule, ...]
    problems: tuple[ConfigProblem, ...]

    def find_rule(self, file: str) -> CreationRule | None:
        """The rule of a file, by its path from the repository's root."""
        folder = self.file[: -len(CONFIG_NAME)]
        path = file.removeprefix(folder)
        for rule in self.rules:
            pattern = compile_pattern(rule.path_regex) if rule.path_regex else None
            if not rule.path_regex or (pattern is not None and pattern.search(path)):
                return rule
        return None


def parse_selectors(holder: Any) -> tuple[SopsSelector, ...]:
    """The selectors that a rule, or the metadata of a file, names."""
    found = ((name, get_field(holder, (name,))) for name in SELECTOR_NAMES)
    return tuple(SopsSelector(name, text) for name, text in found if isinstance(text, str) and text)


def parse_config(file: str, content: bytes) -> SopsConfig:
    """What a `.sops.yaml` says; what cannot be read of it is among the problems."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        message, line, column = failure
        return SopsConfig(
            file, (), (ConfigProblem(f"is no YAML: {message}", line, column, "mend it; sops reads none of it"),)
        )
    value = documents.to_value(parsed[0]) if parsed else {}
    listed = get_field(value, ("creation_rules",))
    if not isinstance(listed, list):
        return SopsConfig(file, (), ())
    problems: list[ConfigProblem] = []
    for number, held in enumerate(listed):
        for path, message, hint, is_error in _find_problems(held):
            _, line, column = parsed[0].locate(("creation_rules", number, *path), True)
            problems.append(ConfigProblem(message, line, column, hint, is_error))
    return SopsConfig(file, tuple(_parse_rule(number, held) for number, held in enumerate(listed)), tuple(problems))


def _parse_rule(number: int, rule: Any) -> CreationRule:
    threshold = get_field(rule, ("shamir_threshold",))
    groups = recipients.parse_rule_groups(rule) if isinstance(rule, dict) else ()
    regex = get_field(rule, ("path_regex",))
    return CreationRule(
        number, str(regex or ""), groups, threshold if isinstance(threshold, int) else 0, parse_selectors(rule)
    )


def _find_problems(rule: Any) -> Iterator[tuple[FieldPath, str, str, bool]]:
    if not isinstance(rule, dict):
        yield (), "a creation rule must be a mapping", "write `path_regex` and recipients", True
        return
    for field in rule.keys() - KNOWN_FIELDS:
        near = field.replace("-", "_").lower()
        hint = f"write `{near}`" if near in KNOWN_FIELDS else "remove it, or correct its name"
        yield (field,), f"sops knows no field `{field}` in a rule, and ignores it", hint, False
    for name in ("path_regex", *(one for one in SELECTOR_NAMES if one.endswith("regex"))):
        text = rule.get(name)
        if isinstance(text, str) and compile_pattern(text) is None:
            yield (name,), f"`{name}` is no regular expression that Go takes", "correct it: sops refuses the rule", True
    named = parse_selectors(rule)
    if len(named) > 1:
        words = " and ".join(f"`{one.name}`" for one in named)
        yield (named[1].name,), f"a rule must not have both {words}", "keep one: sops refuses the rule", True
    if not recipients.parse_rule_groups(rule):
        yield (), "the rule names no recipient, so nothing can be encrypted by it", "add `age`, `pgp` or a KMS", False


def find_nearest_config(folders: Iterable[str], read_config: Callable[[str], SopsConfig | None]) -> SopsConfig | None:
    """The rules that count: of the first `.sops.yaml` that has any.

    Args:
        folders: from the file's own upwards, each with a `/` behind it; empty for the root of a repository.
        read_config: what a `.sops.yaml` says; None where there is none.
    """
    for folder in folders:
        found = read_config(f"{folder}{CONFIG_NAME}")
        if found is not None and (found.rules or found.problems):
            return found
    return None
