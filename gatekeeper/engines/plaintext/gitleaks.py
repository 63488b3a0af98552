"""Leak rules in gitleaks' TOML format: the shipped ones and a team's own.

Source: gitleaks v8, README "Configuration" and `config/config.go`. Its Go patterns are RE2, and so are these.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import re2

from gatekeeper.errors import PolicyError

MOST_EXTENDED = 2


class Pattern:
    """A pattern in RE2, compiled when first needed: most runs need few of them."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where

    @cached_property
    def compiled(self) -> Any:
        """The compiled pattern.

        Raises:
            PolicyError: it is no RE2.
        """
        options = re2.Options()
        options.log_errors = False
        options.never_nl = False
        try:
            return re2.compile(self._text.encode(), options=options)
        except re2.error as error:
            words = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            raise PolicyError(f"{self._where}: a pattern is no RE2: {words}") from error

    def found_in(self, text: bytes) -> bool:
        """Whether the pattern matches somewhere."""
        return self.compiled.search(text) is not None


class Match(NamedTuple):
    """What a rule found: the secret, the text that its pattern matched, the line around it, and the file's name."""

    secret: bytes
    text: bytes
    line: bytes
    file: str


class Allowlist(NamedTuple):
    """What is let pass: by path, by a pattern on a part of the match, by a word in the secret; any of these or all."""

    paths: tuple[Pattern, ...]
    regexes: tuple[Pattern, ...]
    stopwords: tuple[bytes, ...]
    target: str
    needs_all: bool
    rules: frozenset[str]

    def allows(self, match: Match) -> bool:
        """Whether a match is let pass."""
        checks = []
        if self.paths:
            checks.append(any(pattern.found_in(match.file.encode()) for pattern in self.paths))
        if self.regexes:
            target = {"match": match.text, "line": match.line}.get(self.target, match.secret)
            checks.append(any(pattern.found_in(target) for pattern in self.regexes))
        if self.stopwords:
            checks.append(any(word in match.secret.lower() for word in self.stopwords))
        return bool(checks) and (all(checks) if self.needs_all else any(checks))


class Rule(NamedTuple):
    """One rule: what it looks for and in which files, the words that must be near, and what it lets pass.

    A rule with only a path finds fault with the file itself.
    """

    name: str
    about: str
    pattern: Pattern | None
    path: Pattern | None
    keywords: tuple[bytes, ...]
    entropy: float
    group: int
    allowed: tuple[Allowlist, ...]


class RuleFile(NamedTuple):
    """The rules of a file, with those that it extends, and the allowlists for all rules."""

    rules: tuple[Rule, ...]
    allowed: tuple[Allowlist, ...]
    disabled: frozenset[str]


def load(path: Path, name: str, extended: int = 0) -> RuleFile:
    """Reads a file of rules; every pattern in it is tried.

    Raises:
        PolicyError: the file cannot be read, is no TOML, or something in it is not as gitleaks has it.
    """
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{name}: leak rules cannot be read: {error}") from error
    file = parse(held, name)
    patterns = [pattern for rule in file.rules for pattern in (rule.pattern, rule.path) if pattern]
    lists = [allow for rule in file.rules for allow in rule.allowed]
    for pattern in (*patterns, *(one for allow in (*lists, *file.allowed) for one in (*allow.paths, *allow.regexes))):
        _ = pattern.compiled
    more = held.get("extend", {}).get("path")
    if not isinstance(more, str):
        return file
    if extended >= MOST_EXTENDED:
        raise PolicyError(f"{name}: `extend` leads on more than {MOST_EXTENDED} times; put the rules into one file")
    base = load(path.parent / more, f"{name} (extend: {more})", extended + 1)
    own = {rule.name for rule in file.rules}
    kept = tuple(rule for rule in base.rules if rule.name not in own | file.disabled)
    return RuleFile((*kept, *file.rules), (*base.allowed, *file.allowed), file.disabled | base.disabled)


def parse(held: Mapping[str, Any], name: str) -> RuleFile:
    """The rules of a parsed file.

    Raises:
        PolicyError: something in it is not as gitleaks has it.
    """
    try:
        rules = tuple(_rule(entry, name) for entry in held.get("rules", ()))
        disabled = frozenset(held.get("extend", {}).get("disabledRules", ()))
        return RuleFile(rules, tuple(_allowlists(held, name)), disabled)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise PolicyError(f"{name}: a rule or an allowlist is not as gitleaks has it: {error}") from error


def _rule(entry: Mapping[str, Any], file: str) -> Rule:
    name = entry["id"]
    where = f"{file}: rule `{name}`"
    return Rule(
        name,
        str(entry.get("description", name)).rstrip("."),
        Pattern(entry["regex"], where) if "regex" in entry else None,
        Pattern(entry["path"], where) if "path" in entry else None,
        tuple(word.lower().encode() for word in entry.get("keywords", ())),
        float(entry.get("entropy", 0)),
        int(entry.get("secretGroup", 0)),
        tuple(_allowlists(entry, where)),
    )


def _allowlists(entry: Mapping[str, Any], where: str) -> Iterator[Allowlist]:
    one = entry.get("allowlist")
    for held in ([one] if one else []) + list(entry.get("allowlists", ())):
        yield allowlist(held, where)


def allowlist(held: Mapping[str, Any], where: str) -> Allowlist:
    """One allowlist (`paths`, `regexes`, `stopwords`, `regexTarget`, `condition`, `targetRules`)."""
    return Allowlist(
        tuple(Pattern(text, f"{where}, allowlist") for text in held.get("paths", ())),
        tuple(Pattern(text, f"{where}, allowlist") for text in held.get("regexes", ())),
        tuple(word.lower().encode() for word in held.get("stopwords", ())),
        str(held.get("regexTarget", "secret")),
        str(held.get("condition", "OR")).upper() in ("AND", "&&"),
        frozenset(held.get("targetRules", ())),
    )
