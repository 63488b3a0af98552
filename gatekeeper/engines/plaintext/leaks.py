"""Leak rules in gitleaks' TOML format, run over every file: private keys, cloud credentials, tokens."""

from __future__ import annotations

import base64
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import re2

from gatekeeper.config import Config
from gatekeeper.errors import PolicyError
from gatekeeper.model import Finding, Gap, Place
from gatekeeper.sources import Tree

SHIPPED = Path(__file__).with_name("leaks.toml")
ENCODED = re2.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
MAX_LINE = 200_000
IGNORED_NAMES = {"go.sum", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock", "uv.lock"}


class Rule(NamedTuple):
    """One rule: what it looks for (RE2), the words that must be near, and what it lets pass."""

    name: str
    about: str
    pattern: Any
    path: Any
    keywords: tuple[bytes, ...]
    entropy: float
    group: int
    allowed: tuple[Callable[[bytes, bytes, str], bool], ...]


class Scanner(NamedTuple):
    """All rules; a file in which none of their words occurs needs no pattern to run."""

    rules: tuple[Rule, ...]
    words: Any
    allowed: tuple[Callable[[bytes, bytes, str], bool], ...]


def load(tree: Tree, config: Config) -> Scanner:
    """The shipped rules and the config's.

    Raises:
        PolicyError: a file cannot be read, is no TOML, or a pattern in it is no RE2.
    """
    rules: list[Rule] = []
    allowed: list[Callable[[bytes, bytes, str], bool]] = []
    for path in (SHIPPED, *(tree.root / name for name in config.leak_rules)):
        try:
            held = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PolicyError(f"{path.name}: leak rules cannot be read: {error}") from error
        rules.extend(_rule(entry, path.name) for entry in held.get("rules", ()))
        allowed.extend(_allows(held, path.name))
    if config.leak_allow:
        allowed.append(_allow({"regexes": list(config.leak_allow)}, "gatekeeper.yaml"))
    words = sorted({word for rule in rules for word in rule.keywords})
    # A rule without words looks at every file.
    some_look_always = any(not rule.keywords for rule in rules if rule.pattern is not None)
    together = re2.compile(b"" if some_look_always else b"(?i)" + b"|".join(re2.escape(word) for word in words))
    return Scanner(tuple(rules), together, tuple(allowed))


def _rule(entry: dict[str, Any], file: str) -> Rule:
    name = str(entry.get("id"))
    return Rule(
        name,
        str(entry.get("description", name)),
        _compile(entry["regex"], file, name) if "regex" in entry else None,
        _compile(entry["path"], file, name) if "path" in entry else None,
        tuple(str(word).lower().encode() for word in entry.get("keywords", ())),
        float(entry.get("entropy", 0)),
        int(entry.get("secretGroup", 0)),
        tuple(_allows(entry, file)),
    )


def _compile(pattern: str, file: str, name: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_nl = False
    try:
        return re2.compile(pattern.encode(), options=options)
    except re2.error as error:
        raise PolicyError(f"{file}: the pattern of rule `{name}` is no RE2: {error}") from error


def _allows(entry: dict[str, Any], file: str) -> Iterator[Callable[[bytes, bytes, str], bool]]:
    one = entry.get("allowlist")
    for allow in ([one] if isinstance(one, dict) else []) + list(entry.get("allowlists", ())):
        yield _allow(allow, file)


def _allow(entry: dict[str, Any], file: str) -> Callable[[bytes, bytes, str], bool]:
    """gitleaks' allowlist: paths, regexes (on the secret, the match or the line), stopwords; AND or OR."""
    paths = [_compile(text, file, "allowlist") for text in entry.get("paths", ())]
    regexes = [_compile(text, file, "allowlist") for text in entry.get("regexes", ())]
    stopwords = [str(word).lower().encode() for word in entry.get("stopwords", ())]
    on_line = entry.get("regexTarget") in ("line", "match")
    combine = all if str(entry.get("condition", "OR")).upper() == "AND" else any

    def allows(secret: bytes, line: bytes, name: str) -> bool:
        checks = []
        if paths:
            checks.append(any(pattern.search(name.encode()) for pattern in paths))
        if regexes:
            target = line if on_line else secret
            checks.append(any(pattern.search(target) for pattern in regexes))
        if stopwords:
            checks.append(any(word in secret.lower() for word in stopwords))
        return bool(checks) and combine(checks)

    return allows


def scan(tree: Tree, scanner: Scanner, skip: set[str]) -> tuple[list[Finding], list[Gap]]:
    """Leaks in all files of a tree, base64 decoded first; binary files are noted as not scanned."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for file in tree.files:
        name = file.rpartition("/")[2]
        if file in skip or name in IGNORED_NAMES:
            continue
        content = tree.read(file)
        if isinstance(content, Gap):
            gaps.append(content)
        elif b"\0" in content[:8000]:
            gaps.append(Gap(file, "a binary file: not scanned for secrets"))
        else:
            findings.extend(_in_file(scanner, file, content))
    return findings, gaps


def _in_file(scanner: Scanner, file: str, content: bytes) -> Iterator[Finding]:
    seen: set[tuple[str, int]] = set()
    for text, offset in _texts(content):
        if not scanner.words.search(text):
            continue
        lower = text.lower()
        for rule in scanner.rules:
            if rule.pattern is None or (rule.keywords and not any(word in lower for word in rule.keywords)):
                continue
            if rule.path is not None and not rule.path.search(file.encode()):
                continue
            for start in _matches(scanner, rule, file, text):
                at = offset if offset is not None else start
                line = content.count(b"\n", 0, at) + 1
                if (rule.name, line) not in seen:
                    seen.add((rule.name, line))
                    column = len(content[content.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace")) + 1
                    hint = "remove it, change the secret as it has been seen, and keep it sealed or outside of Git"
                    yield Finding(
                        f"plaintext/{rule.name}", "error", f"looks like a secret: {rule.about}",
                        Place(file, line, column), hint=hint,
                    )  # fmt: skip


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
    for found in rule.pattern.finditer(text):
        group = rule.group or (1 if rule.pattern.groups else 0)
        secret = found.group(group) if found.group(group) else found.group(0)
        if rule.entropy and entropy(secret) <= rule.entropy:
            continue
        begin = text.rfind(b"\n", 0, found.start()) + 1
        end = text.find(b"\n", found.end())
        line = text[begin : end if end >= 0 else len(text)][:MAX_LINE]
        if not any(allows(secret, line, file) for allows in (*rule.allowed, *scanner.allowed)):
            yield found.start()


def entropy(text: bytes) -> float:
    """Shannon's entropy, in bits a byte."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) if text else 0.0


def telling(text: str) -> bool:
    """Whether a text is random enough to be a key or a password that a machine made."""
    return len(text) >= 16 and " " not in text and entropy(text.encode()) > 3.5
