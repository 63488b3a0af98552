"""A team's own rules in gitleaks' format work as gitleaks has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.plaintext import gitleaks
from gatekeeper.errors import PolicyError
from tests.conftest import SHARED, Repository, judge, shared

CONFIG = "library: {profile: 'off'}\nleaks: {rules: [own.toml]}\n"
RULE = """
[[rules]]
id = "team-token"
description = "a token of the team"
regex = '''team-([a-z0-9]{12})'''
keywords = ["team-"]
"""
TOKEN = "team-" + "x7k2m9q4w1z8"


def hits(repository: Repository, rules: str, text: str, name: str = "a.txt") -> list[tuple[str, int | None]]:
    verdict = judge(repository({"gatekeeper.yaml": CONFIG, "own.toml": rules, name: text}))
    assert verdict.exit_code != 3, verdict.coverage.gaps
    return [(finding.rule, finding.location.line) for finding in verdict.findings if finding.location.file == name]


def test_a_rule_finds_its_line(repository: Repository) -> None:
    assert hits(repository, RULE, f"a\nb {TOKEN}\n") == [("plaintext/team-token", 2)]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("entropy = 4.5", id="entropy"),
        pytest.param("path = '''\\.tf$'''", id="path"),
        pytest.param("[[rules.allowlists]]\nstopwords = ['k2m9']", id="stopwords"),
        pytest.param("[[rules.allowlists]]\nregexes = ['^x7k2m9']", id="on the secret"),
        pytest.param("[[rules.allowlists]]\nregexTarget = 'match'\nregexes = ['^team-x7']", id="on the match"),
        pytest.param("[[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['^# example']", id="on the line"),
        pytest.param("[rules.allowlist]\npaths = ['a\\.txt']", id="on the path"),
        pytest.param("[[allowlists]]\ntargetRules = ['team-token']\nstopwords = ['x7k']", id="for some rules"),
        pytest.param("[extend]\ndisabledRules = ['team-token']", id="disabled"),
    ],
)
def test_rule_permits_allowed_values(repository: Repository, more: str) -> None:
    assert hits(repository, RULE + more, f"# example {TOKEN}\n") == []


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("[[rules.allowlists]]\nregexes = ['^team-']", id="on the secret, which begins later"),
        pytest.param("[[rules.allowlists]]\ncondition = 'AND'\nstopwords = ['x7k']\npaths = ['b']", id="not all of it"),
        pytest.param("[[allowlists]]\ntargetRules = ['other']\nstopwords = ['x7k']", id="for other rules"),
    ],
)
def test_allowlist_does_not_hide_other_values(repository: Repository, more: str) -> None:
    assert hits(repository, RULE + more, f"# example {TOKEN}\n") == [("plaintext/team-token", 1)]


def test_a_rule_with_only_a_path_finds_fault_with_the_file(repository: Repository) -> None:
    rule = "[[rules]]\nid = 'p12'\npath = '''\\.p12$'''\n"
    assert hits(repository, rule, "x", "store.p12") == [("plaintext/p12", None)]


def test_a_file_extends_another(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(RULE + RULE.replace("team-token", "other"))
    (tmp_path / "own.toml").write_text("[extend]\npath = 'base.toml'\ndisabledRules = ['other']\n")
    assert [rule.name for rule in gitleaks.load_rules(tmp_path / "own.toml", "own.toml").rules] == ["team-token"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rules", "cannot be read"),
        ("[[rules]]\nregex = 'x'\n", "is not valid in gitleaks' format: 'id'"),
        ("[[rules]]\nid = 'x'\nregex = 'x'\nentropy = 'high'\n", "is not valid in gitleaks' format"),
        ("[[rules]]\nid = 'x'\nregex = '(?=x)'\n", "rule `x`: a pattern is not valid RE2 syntax"),
        ("[extend]\npath = 'own.toml'\n", "is nested more than"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        gitleaks.load_rules(tmp_path / "own.toml", "own.toml")
    assert words in str(caught.value)


@shared("corpora/leaks")
def test_gitleaks_own_rules_load() -> None:
    loaded = gitleaks.load_rules(SHARED / "corpora" / "leaks" / "gitleaks.toml", "gitleaks.toml")
    assert len(loaded.rules) == 222
