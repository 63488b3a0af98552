"""Finds leaked private keys, cloud credentials and tokens in any file of the repository, also in base64."""

from __future__ import annotations

import base64
import math
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import re2

from gatekeeper.config import CONFIG_FILE, Config
from gatekeeper.engines.plaintext import gitleaks
from gatekeeper.engines.plaintext.gitleaks import Allowlist, LeakMatch, LeakRule, LeakRuleFile
from gatekeeper.errors import PolicyError
from gatekeeper.model import Finding, Gap, Location
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.documents import detect_encryption
from gatekeeper.workspace.text_encoding import convert_to_utf8
from gatekeeper.workspace.tree import Tree

MAX_KEYWORD_SEARCHES, MAX_KEYWORD_PATTERNS = 12, 500
SHIPPED_RULES = Path(__file__).with_name("leaks.toml")
BASE64_PATTERN = rb"[A-Za-z0-9+/]{40,}={0,2}"
ENCODED_TEXT = re2.compile(BASE64_PATTERN)
# The bytes of printable ASCII text.
ASCII_TEXT = bytes([*b"\t\n\r", *range(0x20, 0x7F)])
MAX_LINE = 200_000
IGNORED_NAMES = {"go.sum", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock", "uv.lock"}
LEAK_HINT = "remove it; rotate the secret, because it is in the Git history; keep it encrypted or outside Git"


class LeakCandidate:
    """A leak, and the text that was found, which is never shown.

    Attributes:
        texts: the secret; where base64 hides it, the base64 text as well.
    """

    __slots__ = ("finding", "texts")

    def __init__(self, finding: Finding, texts: tuple[bytes, ...] = ()) -> None:
        self.finding = finding
        self.texts = texts


class LeakScanner(NamedTuple):
    """All leak rules, with patterns that decide quickly whether a text needs to be searched by them.

    Attributes:
        keywords: those of all rules, in lower case.
        remaining_patterns: for each set of keywords that was found so far, a pattern of the others; filled on demand.
        has_unconditional_rule: whether a rule has no keywords, so that it applies to every text.
        candidate_pattern: finds the keywords or long base64 text: a file without either has no leaks.
    """

    rules: tuple[LeakRule, ...]
    keywords: tuple[bytes, ...]
    remaining_patterns: dict[frozenset[bytes], Any]
    has_unconditional_rule: bool
    candidate_pattern: Any
    allowlists: tuple[Allowlist, ...]

    def find_keywords(self, lower: bytes) -> frozenset[bytes]:
        """The keywords in a text.

        Most texts have few of many keywords, and one pattern for all is as fast as one keyword: after each that is
        found, a pattern searches for the others.
        """
        found = frozenset[bytes]()
        while len(found) < len(self.keywords):
            pattern = self.remaining_patterns.get(found)
            if pattern is None:
                if len(found) > MAX_KEYWORD_SEARCHES or len(self.remaining_patterns) >= MAX_KEYWORD_PATTERNS:
                    return frozenset(word for word in self.keywords if word in lower)
                pattern = re2.compile(b"|".join(re2.escape(word) for word in self.keywords if word not in found))
                self.remaining_patterns[found] = pattern
            match = pattern.search(lower)
            if match is None:
                break
            found |= {match.group()}
        return found

    def is_allowed(self, rule: LeakRule, match: LeakMatch) -> bool:
        """Whether an allowlist of the rule, or one for all rules, permits a match."""
        general = (allow for allow in self.allowlists if not allow.rules or rule.name in allow.rules)
        return any(allow.is_match(match) for allow in (*rule.allowlists, *general))


def load_scanner(tree: Tree, config: Config) -> tuple[LeakScanner, list[Gap]]:
    """Load the library's leak rules and those of the config; a rule file that cannot be used is a gap."""
    files = [gitleaks.parse_rules(tomllib.loads(SHIPPED_RULES.read_text(encoding="utf-8")), SHIPPED_RULES.name)]
    gaps: list[Gap] = []
    for name in config.leak_rules:
        try:
            files.append(gitleaks.load_rules(tree.root / name, name))
        except PolicyError as error:
            gaps.append(Gap(name, f"its leak rules could not be used: {error}", is_fatal=True))
    if config.leak_allow:
        try:
            allow = gitleaks.parse_allowlist({"regexes": config.leak_allow}, f"{CONFIG_FILE}: leaks.allow")
            _ = [pattern.compiled for pattern in allow.regexes]
            files.append(LeakRuleFile((), (allow,), frozenset()))
        except PolicyError as error:
            gaps.append(Gap(CONFIG_FILE, str(error), is_fatal=True))
    return _build_scanner(files), gaps


def _build_scanner(files: Sequence[LeakRuleFile]) -> LeakScanner:
    disabled = frozenset[str]().union(*(file.disabled_rules for file in files))
    named = {rule.name: rule for file in files for rule in file.rules if rule.name not in disabled}
    rules = tuple(named.values())
    words = sorted({word for rule in rules for word in rule.keywords})
    has_unconditional_rule = any(not rule.keywords for rule in rules)
    keywords = b"" if has_unconditional_rule else b"(?i:" + b"|".join(re2.escape(word) for word in words) + b")"
    candidates = re2.compile(keywords and keywords + b"|" + BASE64_PATTERN)
    return LeakScanner(
        rules=rules,
        keywords=tuple(words),
        remaining_patterns={},
        has_unconditional_rule=has_unconditional_rule,
        candidate_pattern=candidates,
        allowlists=tuple(allow for file in files for allow in file.allowlists),
    )


def scan_tree(tree: Tree, scanner: LeakScanner, skipped_files: set[str]) -> tuple[list[LeakCandidate], list[Gap]]:
    """Find leaks in all files of a tree, after decoding base64; a binary file is a gap.

    A rule can match several times in one line; see `deduplicate_by_line`.
    """
    candidates: list[LeakCandidate] = []
    gaps: list[Gap] = []
    by_path = [rule for rule in scanner.rules if rule.pattern is None]
    for file in tree.files:
        applicable = [rule for rule in by_path if _is_applicable(rule, file)] if by_path else ()
        matching = (rule for rule in applicable if not scanner.is_allowed(rule, LeakMatch(b"", b"", b"", file)))
        candidates.extend(LeakCandidate(_report_leak(rule, Location(file))) for rule in matching)
        if file in skipped_files or file.rpartition("/")[2] in IGNORED_NAMES:
            continue
        raw = tree.read_file(file)
        if isinstance(raw, Gap):
            gaps.append(raw)
            continue
        content = convert_to_utf8(raw)
        if content is None:
            how = detect_encryption(raw) or "a binary file"
            gaps.append(Gap(file, f"{how}: not scanned for secrets"))
        elif scanner.candidate_pattern.search(content):
            candidates.extend(_scan_file(scanner, file, content))
    return candidates, gaps


def deduplicate_by_line(candidates: Iterable[LeakCandidate]) -> list[Finding]:
    """The findings of leaks, one for each rule and line."""
    findings: dict[tuple[str, str, int | None], Finding] = {}
    for finding in (candidate.finding for candidate in candidates):
        findings.setdefault((finding.rule, finding.location.file, finding.location.line), finding)
    return list(findings.values())


def _is_applicable(rule: LeakRule, file: str) -> bool:
    return rule.path is None or rule.path.has_match(os.fsencode(file))


def _scan_file(scanner: LeakScanner, file: str, content: bytes) -> Iterator[LeakCandidate]:
    for text, encoded in _decode_texts(content):
        found = scanner.find_keywords(text.lower())
        if not found and not scanner.has_unconditional_rule:
            continue
        for rule in scanner.rules:
            if rule.keywords and found.isdisjoint(rule.keywords):
                continue
            for start, secret in _find_matches(scanner, rule, file, text) if _is_applicable(rule, file) else ():
                at = encoded.start() if encoded is not None else start
                texts = (secret,) if encoded is None else (secret, encoded.group())
                yield LeakCandidate(_report_leak(rule, _locate(file, content, at)), texts)


def _locate(file: str, content: bytes, offset: int) -> Location:
    column = len(content[content.rfind(b"\n", 0, offset) + 1 : offset].decode("utf-8", "replace")) + 1
    return Location(file, content.count(b"\n", 0, offset) + 1, column)


def _report_leak(rule: LeakRule, location: Location) -> Finding:
    return Finding(
        f"plaintext/{rule.name}", "error", f"looks like a secret: {rule.description}", location, hint=LEAK_HINT
    )


def _decode_texts(content: bytes) -> Iterator[tuple[bytes, Any]]:
    """The file itself, and what is hidden in it as base64 with the match of that base64."""
    yield content, None
    for match in ENCODED_TEXT.finditer(content):
        raw = match.group()
        try:
            decoded = base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
        except ValueError:
            continue
        # Ciphertext and images are not text: there is nothing to search.
        text = convert_to_utf8(decoded)
        if text is not None and _is_text(text):
            yield text, match


def _is_text(content: bytes) -> bool:
    """Whether content is text: UTF-8, or an encoding of mostly ASCII letters, such as Latin-1."""
    if len(content.translate(None, ASCII_TEXT)) * 8 <= len(content):
        return True
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _find_matches(scanner: LeakScanner, rule: LeakRule, file: str, text: bytes) -> Iterator[tuple[int, bytes]]:
    """The start of each match, and the secret in it."""
    if rule.pattern is None:
        return
    pattern = rule.pattern.compiled
    for match in pattern.finditer(text):
        group = rule.secret_group or (1 if pattern.groups else 0)
        secret = match.group(group) if match.group(group) else match.group(0)
        if rule.min_entropy and compute_entropy(secret) <= rule.min_entropy:
            continue
        begin = text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", match.end())
        line = text[begin : end if end >= 0 else len(text)][:MAX_LINE]
        if not scanner.is_allowed(rule, LeakMatch(secret, match.group(0), line, file)):
            yield match.start(), secret


def compute_entropy(text: bytes) -> float:
    """Shannon entropy in bits per byte."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) if text else 0.0


def is_random(text: str) -> bool:
    """Whether a text is random enough to be a generated key or password."""
    return len(text) >= 16 and " " not in text and compute_entropy(text.encode()) > 3.5
