"""Teams by CODEOWNERS, environments by folders, ages by Git."""

from __future__ import annotations

import pytest

from gatekeeper.report.attribution import NO_OWNER, CodeOwners, LineAge, count_names, find_environment


@pytest.mark.parametrize(
    ("pattern", "file", "is_owned"),
    [
        ("*", "a/b.yaml", True),
        ("*.yaml", "a/b.yaml", True),
        ("*.yaml", "a/b.md", False),
        ("/a/", "a/b/c.yaml", True),
        ("/a/", "x/a/c.yaml", False),
        ("a/", "x/a/c.yaml", True),
        ("docs/*", "docs/a.md", True),
        ("docs/*", "docs/b/a.md", False),
        ("/a/**/c.yaml", "a/b/d/c.yaml", True),
        ("/a/**/c.yaml", "a/c.yaml", True),
        ("**/prod", "x/prod/a.yaml", True),
        ("/a?.yaml", "ab.yaml", True),
        ("/a.yaml", "a.yaml", True),
        ("a+b", "aab", False),
    ],
)
def test_owners_by_pattern(pattern: str, file: str, is_owned: bool) -> None:
    assert CodeOwners(f"{pattern} @team\n").find_owner(file) == ("@team" if is_owned else NO_OWNER)


def test_the_last_rule_counts_and_one_without_owner_frees() -> None:
    owners = CodeOwners("# all\n* @all @more\n\n[Section] @x\n/a/ @a # ours\n/a/free\n")
    assert [owners.find_owner(file) for file in ("b", "a/b", "a/free")] == ["@all @more", "@a", NO_OWNER]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("clusters/eu-1/a.yaml", "eu-1"),
        ("apps/web/overlays/blue/p.yaml", "blue"),
        ("apps/Production/a.yaml", "Production"),
        ("base/a.yaml", "shared"),
        ("a.yaml", "shared"),
        ("staging.yaml", "shared"),
    ],
)
def test_environments_by_folder(file: str, name: str) -> None:
    assert find_environment(file) == name


def test_ages_in_groups() -> None:
    assert [LineAge(days).group for days in (0, 8, 31, 91, 400, None)] == [
        "up to a week",
        "up to a month",
        "up to three months",
        "up to a year",
        "more than a year",
        "unknown",
    ]


def test_counts_in_order() -> None:
    assert count_names(["b", "a", "b"]) == [("b", 2), ("a", 1)]
    assert count_names(["b", "a", "b"], ("a", "b", "c")) == [("a", 1), ("b", 2)]
