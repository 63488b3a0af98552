"""Leaked keys, tokens and passwords: found in any file and encoding, unless an allowlist permits them."""

from __future__ import annotations

import base64
import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.config import Config
from gatekeeper.engines.plaintext import leaks
from gatekeeper.model import Finding, Gap
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, judge
from tests.engines.plaintext.test_secrets import b64, found

SCANNER = leaks.load_scanner(Tree(Path(), []), Config())[0]
PEM = "-----BEGIN " + "EC PRIVATE KEY-----\n" + "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY" * 2 + "\n"
LEAKS = [
    ("main.tf", 'key = "AKIA' + 'Z7QTUVWXY2345ABC"\n', "plaintext/aws-access-key", 1),
    ("deploy.sh", "# deploy\ncat > k <<X\n" + PEM + "X\n", "plaintext/private-key", 3),
    ("values.yaml", "a: 1\nkey: " + b64(PEM) + "\n", "plaintext/private-key", 2),
    (
        "keys/age.txt",
        "AGE-SECRET-" + "KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHC\n",
        "plaintext/age-secret-key",
        1,
    ),
    (".env", "GITHUB_TOKEN=ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf\n", "plaintext/github-token", 1),
]


@pytest.mark.parametrize(("name", "text", "rule", "line"), LEAKS, ids=[leak[0] for leak in LEAKS])
def test_key_or_token_is_found_in_any_file(repository: Repository, name: str, text: str, rule: str, line: int) -> None:
    [finding] = found(repository, text, name)
    assert (finding.rule, finding.location.file, finding.location.line) == (rule, name, line)


def test_wholly_encrypted_file_is_recognized(repository: Repository) -> None:
    crypt = b"\0GITCRYPT\0" + os.urandom(40)
    age = b"age-encryption.org/v1\n-> X25519 abc\n" + os.urandom(40)
    verdict = judge(repository({"a.yaml": crypt, "b.yaml": age, ".env": crypt}))
    assert verdict.exit_code == 0
    reasons = {gap.file: gap.reason for gap in verdict.coverage.gaps}
    assert reasons["a.yaml"] == "encrypted by git-crypt"
    assert reasons["b.yaml"] == "encrypted by age"
    assert reasons[".env"] == "encrypted by git-crypt: not scanned for secrets"


def test_a_binary_file_is_reported_and_not_scanned(repository: Repository) -> None:
    verdict = judge(repository({"x.bin": b"\0" + os.urandom(64)}))
    assert [gap.file for gap in verdict.coverage.gaps if "binary" in gap.reason] == ["x.bin"]


TOKEN = "ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf"


def scan(root: Path, *files: str, settings: Config | None = None) -> tuple[list[Finding], list[Gap]]:
    tree = Tree(root, files)
    scanner, gaps = leaks.load_scanner(tree, settings or Config())
    candidates, more = leaks.scan_tree(tree, scanner, set())
    return leaks.deduplicate_by_line(candidates), [*gaps, *more]


def test_a_token_in_base64_is_found_at_the_place_of_the_text(repository: Repository) -> None:
    encoded = base64.b64encode(f"some words before {TOKEN}".encode()).decode().rstrip("=")
    [finding], gaps = scan(repository({"a.txt": f"x\nkey = {encoded}\n"}), "a.txt")
    assert (finding.rule, finding.location.line, finding.location.column) == ("plaintext/github-token", 2, 7)
    assert gaps == [] and TOKEN not in f"{finding}"


def test_a_token_is_reported_once_per_line(repository: Repository) -> None:
    findings, _ = scan(repository({"a.txt": f"{TOKEN} {TOKEN}\n{TOKEN}\n"}), "a.txt")
    assert [finding.location.line for finding in findings] == [1, 2]


def test_lock_files_are_not_searched_and_a_file_that_is_missing_is_a_gap(repository: Repository) -> None:
    root = repository({"go.sum": TOKEN, "sub/go.sum": TOKEN})
    findings, [gap] = scan(root, "go.sum", "sub/go.sum", "none.txt")
    assert (findings, gap.file) == ([], "none.txt")


@pytest.mark.parametrize("pattern", ["^ghp_x7K", ".*"])
def test_the_config_can_allow_a_match(repository: Repository, pattern: str) -> None:
    root = repository({"a.txt": TOKEN})
    assert scan(root, "a.txt", settings=Config()._replace(leak_allow=(pattern,)))[0] == []
    assert len(scan(root, "a.txt", settings=Config()._replace(leak_allow=("^other",)))[0]) == 1


@pytest.mark.parametrize(
    "settings", [Config()._replace(leak_allow=("[",)), Config()._replace(leak_rules=("none.toml",))]
)
def test_rules_that_cannot_be_used_are_a_fatal_gap_and_the_others_still_count(
    repository: Repository, settings: Config
) -> None:
    findings, [gap] = scan(repository({"a.txt": TOKEN}), "a.txt", settings=settings)
    assert gap.is_fatal and [finding.rule for finding in findings] == ["plaintext/github-token"]


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_entropy_is_between_zero_and_the_logarithm_of_the_length(text: bytes) -> None:
    entropy = leaks.compute_entropy(text)
    assert -1e-9 <= entropy <= max(0.0, len(set(text)).bit_length()) + 1e-9
    assert leaks.compute_entropy(text * 2) == pytest.approx(entropy)


@pytest.mark.parametrize(
    ("text", "is_random"),
    [("x7Kd92LmQ0aZs81T", True), ("x7Kd92LmQ0aZs81", False), ("a" * 40, False), ("four random words here", False)],
)
def test_a_generated_text_is_long_and_varied(text: str, is_random: bool) -> None:
    assert leaks.is_random(text) is is_random


PASSWORD = "9fKq2Lm" + "Z7xWv"
WAIVER = '# gatekeeper:waive rule=plaintext/* expires=2999-01-01 reason="a dummy"'


def find_leaks(
    repository: Repository, content: bytes, name: str = "deploy.ps1"
) -> list[tuple[str, int | None, int | None]]:
    config = "waivers: {maxDays: 999999}\nlibrary: {profile: 'off'}\n"
    verdict = judge(repository({name: content, "gatekeeper.yaml": config}))
    found = [finding for finding in verdict.active_findings if finding.rule.startswith("plaintext/")]
    return [(finding.rule, finding.location.line, finding.location.column) for finding in found]


def find_in_lines(repository: Repository, lines: list[str]) -> dict[str, bool]:
    """Whether each line has a leak."""
    found = {line for _, line, _ in find_leaks(repository, "\n".join(lines).encode(), "app.env")}
    return {line: number in found for number, line in enumerate(lines, 1)}


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "utf-16-le"),
    ],
)
def test_a_token_is_found_in_any_encoding(repository: Repository, mark: bytes, encoding: str) -> None:
    content = mark + f"# a comment\r\n$t = '{TOKEN}'\r\n".encode(encoding)
    assert find_leaks(repository, content) == [("plaintext/github-token", 2, 7)]


def test_base64_in_utf16_is_searched(repository: Repository) -> None:
    hidden = base64.b64encode(f"token: {TOKEN}".encode()).decode()
    content = codecs.BOM_UTF16_LE + f"\n$t = '{hidden}'\n".encode("utf-16-le")
    assert find_leaks(repository, content) == [("plaintext/github-token", 2, 7)]


def test_a_comment_waives_a_finding_in_utf16(repository: Repository) -> None:
    content = codecs.BOM_UTF16_LE + f"{WAIVER}\n$t = '{TOKEN}'\n".encode("utf-16-le")
    assert find_leaks(repository, content) == []


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(f"# für\ntoken: {TOKEN}\n".encode(), id="UTF-8"),
        pytest.param(f"# für\ntoken: {TOKEN}\n".encode("latin-1"), id="Latin-1"),
        pytest.param(f"日本語日本語日本語 {TOKEN}\n".encode(), id="mostly other letters"),
        pytest.param(codecs.BOM_UTF16_LE + f"token: {TOKEN}".encode("utf-16-le"), id="UTF-16"),
        pytest.param(f"$t = '{TOKEN}'".encode("utf-16-le"), id="a command of PowerShell"),
        pytest.param(codecs.BOM_UTF8 + f"token: {TOKEN}".encode(), id="UTF-8 with a mark"),
    ],
)
def test_base64_of_any_text_is_searched(repository: Repository, hidden: bytes) -> None:
    content = b"a: b\nk: " + base64.b64encode(hidden) + b"\n"
    assert find_leaks(repository, content, "a.txt") == [("plaintext/github-token", 2, 4)]


def test_a_password_in_a_url_of_any_scheme_is_found(repository: Repository) -> None:
    lines = [
        f"A=postgres://app:{PASSWORD}@db:5432/app",
        f"B=redis://:{PASSWORD}@redis:6379/0",
        f"C=postgres://app:9fKq2%40{PASSWORD}@db:5432/app",
        f"D=smtp://mailer:{PASSWORD}@mail.example.com:587",
        f"E=https://ci-bot:{PASSWORD}@git.example.com/team/app.git",
        f"F=clickhouse://app:{PASSWORD}@ch:9000",
        f"G=postgresql+psycopg2://app:p@{PASSWORD}@[::1]:5432/app",
        f"H=postgres://${{USER}}:{PASSWORD}@${{HOST}}/app",
        f"I=postgres://{{{{ .Values.user }}}}:{PASSWORD}@db/app",
        f"J=jdbc:postgresql://db/app?user=app&password={PASSWORD}",
        f"K=jdbc:sqlserver://db:1433;user=sa;password={PASSWORD};encrypt=true",
        f"L=jdbc:redshift://db:5439/dev?UID=app&PWD={PASSWORD}",
        f"M=jdbc:oracle:thin:scott/{PASSWORD}@//db:1521/app",
        f"N=postgresql://db/app?sslmode=disable&password={PASSWORD}",
        f"O=AMQPS://shop:{PASSWORD}@mq",
        f"P=sftp://backup:pa$$word9{PASSWORD[:4]}@host",
    ]
    assert find_in_lines(repository, lines) == dict.fromkeys(lines, True)


def test_a_url_without_a_password_is_no_leak(repository: Repository) -> None:
    lines = [
        "A=postgres://app:${PASSWORD}@db",
        "B=postgres://app:$PASSWORD@db",
        "C=postgres://app:$(DB_PASSWORD)@db",
        "D=postgres://app:{{ .Values.password }}@db",
        "E=postgres://app:<password>@db",
        "F=postgres://user:password@localhost/app",
        "G=amqp://guest:guest@mq",
        "H=postgres://app:%s@%s/app",
        "I=postgres://app:%(password)s@db",
        "J=redis://:@redis:6379",
        "K=https://registry.example.com:5000/app@sha256",
        f"L=docker://nginx:1.25.3-alpine@sha256:{'a1' * 32}",
        "M=http://localhost:4873/@scope/package",
        "N=ssh://git@github.com:22/team/app.git",
        "O=jdbc:postgresql://db/app?user=app&password=${PASSWORD}",
        "P=https://example.com/login?reset_password=true",
        "Q=jdbc:sqlserver://db;password={{ .password }};",
        "R=https://user@git.example.com/team/app.git, mail ops@example.com",
    ]
    assert find_in_lines(repository, lines) == dict.fromkeys(lines, False)


@given(
    st.lists(st.sampled_from([*SCANNER.keywords, b" ", b"-", b"a", b"key", b"sec", b"\xc5\xbf", b"\n"]), max_size=40)
)
@settings(deadline=None)
def test_each_keyword_of_a_text_is_found(words: list[bytes]) -> None:
    text = b"".join(words)
    assert SCANNER.find_keywords(text) == {word for word in SCANNER.keywords if word in text}
    whole = b"".join(SCANNER.keywords)
    assert SCANNER.find_keywords(whole) == set(SCANNER.keywords)
