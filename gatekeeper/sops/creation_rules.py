"""The creation rules of a `.sops.yaml`: parsing them, and finding the rule for a file.

Source: getsops/sops `config/config.go`: the first rule whose `path_regex` matches a part of the path applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gatekeeper.gocompat.regexp import compile_pattern
from gatekeeper.model import FieldPath, get_field
from gatekeeper.named_tuple import NamedTuple
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
# sops uses this selector if neither the rule nor the file sets one.
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
    """A selector of the values to encrypt: one of `SELECTOR_NAMES`, and its text."""

    name: str
    text: str

    def should_encrypt(self, path: Sequence[str]) -> bool | None:
        """Return whether a value must be encrypted, by its keys; None if that depends on comments."""
        if self.name.endswith("comment_regex"):
            return None
        if self.name.endswith("suffix"):
            is_match = any(key.endswith(self.text) for key in path)
        else:
            pattern = compile_pattern(self.text)
            is_match = pattern is not None and any(pattern.search(key) is not None for key in path)
        return is_match == (not self.name.startswith("un"))


class CreationRule(NamedTuple):
    """One creation rule.

    Attributes:
        number: the index in the list, from 0.
        path_regex: empty for a rule that matches every file.
        threshold: the Shamir threshold; 0 if the rule sets none.
        selectors: the selectors that the rule sets; more than one is an error.
    """

    number: int
    path_regex: str
    groups: KeyGroups
    threshold: int
    selectors: tuple[SopsSelector, ...]


class ConfigProblem(NamedTuple):
    """A problem in a `.sops.yaml`: the message, the location, what to do, and whether sops refuses the file."""

    message: str
    line: int
    column: int
    hint: str
    is_error: bool = True


class SopsConfig(NamedTuple):
    """A parsed `.sops.yaml`: its path, its rules and its problems."""

    file: str
    rules: tuple[CreationRule, ...]
    problems: tuple[ConfigProblem, ...]

    def find_rule(self, file: str) -> CreationRule | None:
        """Return the rule for a file, given by its path from the root of the repository; None if none matches."""
        folder = self.file[: -len(CONFIG_NAME)]
        path = file.removeprefix(folder)
        for rule in self.rules:
            pattern = compile_pattern(rule.path_regex) if rule.path_regex else None
            if not rule.path_regex or (pattern is not None and pattern.search(path)):
                return rule
        return None


def parse_selectors(holder: Any) -> tuple[SopsSelector, ...]:
    """Return the selectors that a rule or the metadata of a file sets."""
    texts = ((name, get_field(holder, (name,))) for name in SELECTOR_NAMES)
    return tuple(SopsSelector(name, text) for name, text in texts if isinstance(text, str) and text)


def parse_config(file: str, content: bytes) -> SopsConfig:
    """Parse a `.sops.yaml`; parts that cannot be parsed are reported as problems."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        message, line, column = failure
        problem = ConfigProblem(
            f"is not valid YAML: {message}", line, column, "correct it; sops cannot read the file at all"
        )
        return SopsConfig(file, (), (problem,))
    value = documents.to_value(parsed[0]) if parsed else {}
    rules = get_field(value, ("creation_rules",))
    if not isinstance(rules, list):
        return SopsConfig(file, (), ())
    problems: list[ConfigProblem] = []
    for number, rule in enumerate(rules):
        for path, message, hint, is_error in _find_problems(rule):
            _, line, column = parsed[0].locate(("creation_rules", number, *path), True)
            problems.append(ConfigProblem(message, line, column, hint, is_error))
    return SopsConfig(file, tuple(_parse_rule(number, rule) for number, rule in enumerate(rules)), tuple(problems))


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
        yield (field,), f"`{field}` is not a field of a creation rule; sops ignores it", hint, False
    for name in ("path_regex", *(name for name in SELECTOR_NAMES if name.endswith("regex"))):
        text = rule.get(name)
        if isinstance(text, str) and compile_pattern(text) is None:
            message = f"`{name}` is not a valid Go regular expression"
            yield (name,), message, "correct it: sops refuses the rule", True
    selectors = parse_selectors(rule)
    if len(selectors) > 1:
        names = " and ".join(f"`{selector.name}`" for selector in selectors)
        yield (selectors[1].name,), f"a rule must not have both {names}", "keep one: sops refuses the rule", True
    if not recipients.parse_rule_groups(rule):
        yield (), "the rule has no recipient, so it cannot encrypt anything", "add `age`, `pgp` or a KMS", False


def find_nearest_config(folders: Iterable[str], read_config: Callable[[str], SopsConfig | None]) -> SopsConfig | None:
    """Return the first `.sops.yaml` that has rules or problems; None if there is none.

    Args:
        folders: the folders to search, from the file's own upwards, each with a trailing `/`; empty for the root.
        read_config: parses the `.sops.yaml` at a path; returns None if there is none.
    """
    for folder in folders:
        config = read_config(f"{folder}{CONFIG_NAME}")
        if config is not None and (config.rules or config.problems):
            return config
    return None
