"""Leaks in any file of the repository: private keys, cloud credentials, tokens, also where base64 hides them."""

from __future__ import annotations

import base64
import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import re2

from gatekeeper.config import NAME, Config
from gatekeeper.engines.plaintext import gitleaks
from gatekeeper.engines.plaintext.gitleaks import Allowlist, Match, Rule, RuleFile
from gatekeeper.errors import PolicyError
from gatekeeper.model import Finding, Gap, Place
from gatekeeper.workspace.documents import encrypted_by
from gatekeeper.workspace.tree import Tree

SHIPPED = Path(__file__).with_name("leaks.toml")
BASE64 = rb"[A-Za-z0-9+/]{40,}={0,2}"
ENCODED = re2.compile(BASE64)
MAX_LINE = 200_000
IGNORED_NAMES = {"go.sum", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock", "uv.lock"}
HINT = "remove it, change the secret as it has been seen, and keep it sealed or outside of Git"


class Scanner(NamedTuple):
    """All rules; a text in which none of their words occurs needs no pattern to run.

    Attributes:
        words: finds the rules' words.
        telling: finds the rules' words, or a long text in base64: a file without either is done.
    """

    rules: tuple[Rule, ...]
    words: Any
    telling: Any
    allowed: tuple[Allowlist, ...]

    def lets_pass(self, rule: Rule, match: Match) -> bool:
        """Whether an allowlist of the rule, or one for all rules, lets a match pass."""
        general = (allow for allow in self.allowed if not allow.rules or rule.name in allow.rules)
        return any(allow.allows(match) for allow in (*rule.allowed, *general))


def load(tree: Tree, config: Config) -> tuple[Scanner, list[Gap]]:
    """The shipped rules and the config's; a file of rules that cannot be used is a gap."""
    files = [gitleaks.parse(tomllib.loads(SHIPPED.read_text(encoding="utf-8")), SHIPPED.name)]
    gaps: list[Gap] = []
    for name in config.leak_rules:
        try:
            files.append(gitleaks.load(tree.root / name, name))
        except PolicyError as error:
            gaps.append(Gap(name, f"its leak rules were not used: {error}", fatal=True))
    if config.leak_allow:
        try:
            allow = gitleaks.allowlist({"regexes": config.leak_allow}, f"{NAME}: leaks.allow")
            _ = [pattern.compiled for pattern in allow.regexes]
            files.append(RuleFile((), (allow,), frozenset()))
        except PolicyError as error:
            gaps.append(Gap(NAME, str(error), fatal=True))
    return _scanner(files), gaps


def _scanner(files: Sequence[RuleFile]) -> Scanner:
    disabled = frozenset[str]().union(*(file.disabled for file in files))
    named = {rule.name: rule for file in files for rule in file.rules if rule.name not in disabled}
    rules = tuple(named.values())
    words = sorted({word for rule in rules for word in rule.keywords})
    # A rule without words looks at every file.
    some_look_always = any(not rule.keywords for rule in rules)
    together = b"" if some_look_always else b"(?i:" + b"|".join(re2.escape(word) for word in words) + b")"
    telling = re2.compile(together and together + b"|" + BASE64)
    return Scanner(rules, re2.compile(together), telling, tuple(allow for file in files for allow in file.allowed))


def scan(tree: Tree, scanner: Scanner, skip: set[str]) -> tuple[list[Finding], list[Gap]]:
    """Leaks in all files of a tree, base64 decoded first; binary files are noted as not scanned."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    by_path = [rule for rule in scanner.rules if rule.pattern is None]
    for file in tree.files:
        named = Match(b"", b"", b"", file)
        wrong = (rule for rule in by_path if _is_for(rule, file) and not scanner.lets_pass(rule, named))
        findings.extend(_finding(rule, Place(file)) for rule in wrong)
        if file in skip or file.rpartition("/")[2] in IGNORED_NAMES:
            continue
        content = tree.read(file)
        if isinstance(content, Gap):
            gaps.append(content)
        elif b"\0" in content[:8000]:
            how = encrypted_by(content) or "a binary file"
            gaps.append(Gap(file, f"{how}: not scanned for secrets"))
        elif scanner.telling.search(content):
            findings.extend(_in_file(scanner, file, content))
    return findings, gaps


def _is_for(rule: Rule, file: str) -> bool:
    return rule.path is None or rule.path.found_in(file.encode())


def _in_file(scanner: Scanner, file: str, content: bytes) -> Iterator[Finding]:
    seen: set[tuple[str, int]] = set()
    for text, offset in _texts(content):
        if not scanner.words.search(text):
            continue
        lower = text.lower()
        for rule in scanner.rules:
            if rule.keywords and not any(word in lower for word in rule.keywords):
                continue
            for start in _matches(scanner, rule, file, text) if _is_for(rule, file) else ():
                at = offset if offset is not None else start
                line = content.count(b"\n", 0, at) + 1
                if (rule.name, line) not in seen:
                    seen.add((rule.name, line))
                    column = len(content[content.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace")) + 1
                    yield _finding(rule, Place(file, line, column))


def _finding(rule: Rule, place: Place) -> Finding:
    return Finding(f"plaintext/{rule.name}", "error", f"looks like a secret: {rule.about}", place, hint=HINT)


def _texts(content: bytes) -> Iterator[tuple[bytes, int | None]]:
    """The file itself, and what is hidden in it as base64 with the place where that starts."""
    yield content, None
    for found in ENCODED.finditer(content):
        raw = found.group()
        try:
            decoded = base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
        except ValueError:
            continue
        # Ciphertext and images are no text: nothing to look for in them.
        if decoded.isascii() and b"\0" not in decoded:
            yield decoded, found.start()


def _matches(scanner: Scanner, rule: Rule, file: str, text: bytes) -> Iterator[int]:
    if rule.pattern is None:
        return
    pattern = rule.pattern.compiled
    for found in pattern.finditer(text):
        group = rule.group or (1 if pattern.groups else 0)
        secret = found.group(group) if found.group(group) else found.group(0)
        if rule.entropy and entropy(secret) <= rule.entropy:
            continue
        begin = text.rfind(b"\n", 0, found.start()) + 1
        end = text.find(b"\n", found.end())
        line = text[begin : end if end >= 0 else len(text)][:MAX_LINE]
        if not scanner.lets_pass(rule, Match(secret, found.group(0), line, file)):
            yield found.start()


def entropy(text: bytes) -> float:
    """Shannon's entropy, in bits a byte."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) if text else 0.0


def telling(text: str) -> bool:
    """Whether a text is random enough to be a key or a password that a machine made."""
    return len(text) >= 16 and " " not in text and entropy(text.encode()) > 3.5
