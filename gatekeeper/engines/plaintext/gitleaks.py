"""Reads leak rules in gitleaks' TOML format: those of the library and those of a repository.

Source: gitleaks v8, README "Configuration" and `config/config.go`. Its Go patterns are RE2, and so are these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import re2

from gatekeeper.errors import PolicyError
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.named_tuple import NamedTuple

MAX_EXTENDS = 2


class LeakPattern:
    """A pattern in RE2, compiled when first needed: most runs need few of them."""

    def __init__(self, text: str, context: str) -> None:
        self._text, self._context = text, context

    @cached_property
    def compiled(self) -> Any:
        """The compiled pattern.

        Raises:
            PolicyError: it is not valid RE2 syntax.
        """
        options = re2.Options()
        options.log_errors = False
        options.never_nl = False
        try:
            return re2.compile(self._text.encode(), options=options)
        except re2.error as error:
            words = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            raise PolicyError(f"{self._context}: a pattern is not valid RE2 syntax: {words}") from error

    def has_match(self, text: bytes) -> bool:
        """Whether the pattern matches somewhere."""
        return self.compiled.search(text) is not None


class LeakMatch(NamedTuple):
    """One match of a rule: the secret, the whole text that the pattern matched, its line, and the file name."""

    secret: bytes
    text: bytes
    line: bytes
    file: str


class Allowlist(NamedTuple):
    """Permitted matches: by path, by a pattern, or by a word in the secret; any of these conditions or all."""

    paths: tuple[LeakPattern, ...]
    regexes: tuple[LeakPattern, ...]
    stopwords: tuple[bytes, ...]
    target: str
    should_match_all: bool
    rules: frozenset[str]

    def is_match(self, match: LeakMatch) -> bool:
        """Whether a match is permitted."""
        checks = []
        if self.paths:
            checks.append(any(pattern.has_match(os.fsencode(match.file)) for pattern in self.paths))
        if self.regexes:
            target = {"match": match.text, "line": match.line}.get(self.target, match.secret)
            checks.append(any(pattern.has_match(target) for pattern in self.regexes))
        if self.stopwords:
            checks.append(any(word in match.secret.lower() for word in self.stopwords))
        return bool(checks) and (all(checks) if self.should_match_all else any(checks))


class LeakRule(NamedTuple):
    """One leak rule: its pattern, the files that it applies to, its keywords, and its allowlists.

    A rule with only a path reports the file itself.
    """

    name: str
    description: str
    pattern: LeakPattern | None
    path: LeakPattern | None
    keywords: tuple[bytes, ...]
    min_entropy: float
    secret_group: int
    allowlists: tuple[Allowlist, ...]


class LeakRuleFile(NamedTuple):
    """The rules of a file, including those that it extends, and the allowlists for all rules."""

    rules: tuple[LeakRule, ...]
    allowlists: tuple[Allowlist, ...]
    disabled_rules: frozenset[str]


def load_rules(path: Path, name: str, extend_depth: int = 0) -> LeakRuleFile:
    """Reads a rule file and compiles every pattern in it.

    Raises:
        PolicyError: the file cannot be read, or is not a valid gitleaks configuration.
    """
    # Few repositories have leak rules of their own.
    import tomllib

    try:
        content = tomllib.loads(read_regular_file(path).decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{name}: leak rules cannot be read: {error}") from error
    file = parse_rules(content, name)
    patterns = [pattern for rule in file.rules for pattern in (rule.pattern, rule.path) if pattern]
    lists = [allow for rule in file.rules for allow in rule.allowlists]
    for pattern in (
        *patterns,
        *(pattern for allow in (*lists, *file.allowlists) for pattern in (*allow.paths, *allow.regexes)),
    ):
        _ = pattern.compiled
    base_path = content.get("extend", {}).get("path")
    if not isinstance(base_path, str):
        return file
    if extend_depth >= MAX_EXTENDS:
        raise PolicyError(f"{name}: `extend` is nested more than {MAX_EXTENDS} times; put the rules into one file")
    base = load_rules(path.parent / base_path, f"{name} (extend: {base_path})", extend_depth + 1)
    own = {rule.name for rule in file.rules}
    kept = tuple(rule for rule in base.rules if rule.name not in own | file.disabled_rules)
    return LeakRuleFile(
        (*kept, *file.rules), (*base.allowlists, *file.allowlists), file.disabled_rules | base.disabled_rules
    )


def parse_rules(content: Mapping[str, Any], name: str) -> LeakRuleFile:
    """The rules of a parsed file.

    Raises:
        PolicyError: it is not a valid gitleaks configuration.
    """
    try:
        rules = tuple(_parse_rule(entry, name) for entry in content.get("rules", ()))
        disabled = frozenset(content.get("extend", {}).get("disabledRules", ()))
        return LeakRuleFile(rules, tuple(_parse_allowlists(content, name)), disabled)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise PolicyError(f"{name}: a rule or an allowlist is not valid in gitleaks' format: {error}") from error


def _parse_rule(entry: Mapping[str, Any], file: str) -> LeakRule:
    name = entry["id"]
    where = f"{file}: rule `{name}`"
    return LeakRule(
        name=name,
        description=str(entry.get("description", name)).rstrip("."),
        pattern=LeakPattern(entry["regex"], where) if "regex" in entry else None,
        path=LeakPattern(entry["path"], where) if "path" in entry else None,
        keywords=tuple(word.lower().encode() for word in entry.get("keywords", ())),
        min_entropy=float(entry.get("entropy", 0)),
        secret_group=int(entry.get("secretGroup", 0)),
        allowlists=tuple(_parse_allowlists(entry, where)),
    )


def _parse_allowlists(entry: Mapping[str, Any], context: str) -> Iterator[Allowlist]:
    allowlist = entry.get("allowlist")
    for item in ([allowlist] if allowlist else []) + list(entry.get("allowlists", ())):
        yield parse_allowlist(item, context)


def parse_allowlist(entry: Mapping[str, Any], context: str) -> Allowlist:
    """One allowlist (`paths`, `regexes`, `stopwords`, `regexTarget`, `condition`, `targetRules`)."""
    return Allowlist(
        paths=tuple(LeakPattern(text, f"{context}, allowlist") for text in entry.get("paths", ())),
        regexes=tuple(LeakPattern(text, f"{context}, allowlist") for text in entry.get("regexes", ())),
        stopwords=tuple(word.lower().encode() for word in entry.get("stopwords", ())),
        target=str(entry.get("regexTarget", "secret")),
        should_match_all=str(entry.get("condition", "OR")).upper() in ("AND", "&&"),
        rules=frozenset(entry.get("targetRules", ())),
    )
