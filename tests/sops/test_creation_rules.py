"""Creation rules of a `.sops.yaml`."""

from __future__ import annotations

import pytest

from gatekeeper.sops.creation_rules import SopsConfig, SopsSelector, find_nearest_config, parse_config

RULES = b"""creation_rules:
  - path_regex: \\.enc\\.yaml$
    age: age1a
    encrypted_regex: ^data$
  - age: age1b
    shamir_threshold: 2
"""


def test_first_rule_that_matches_the_path_applies() -> None:
    config = parse_config("apps/.sops.yaml", RULES)
    assert config.problems == () and [rule.number for rule in config.rules] == [0, 1]
    first, second = config.rules
    assert config.find_rule("apps/db/secret.enc.yaml") == first and config.find_rule("apps/other.yaml") == second
    assert (first.selectors, second.threshold) == ((SopsSelector("encrypted_regex", "^data$"),), 2)
    assert parse_config(".sops.yaml", RULES.replace(b"  - age: age1b", b"  - path_regex: ^x$")).find_rule("y") is None


@pytest.mark.parametrize(
    ("selector", "path", "expected"),
    [
        (SopsSelector("encrypted_suffix", "_enc"), ("a_enc", "b"), True),
        (SopsSelector("unencrypted_suffix", "_plain"), ("a_plain",), False),
        (SopsSelector("encrypted_regex", "^(data|stringData)$"), ("data", "x"), True),
        (SopsSelector("unencrypted_regex", "^data$"), ("other",), True),
        (SopsSelector("encrypted_regex", "["), ("data",), False),
        (SopsSelector("encrypted_comment_regex", "x"), ("data",), None),
    ],
)
def test_selector_decides_by_the_keys_of_a_value(
    selector: SopsSelector, path: tuple[str, ...], expected: bool | None
) -> None:
    assert selector.should_encrypt(path) is expected


@pytest.mark.parametrize(
    ("rule", "line", "message", "is_error"),
    [
        ("- x", 2, "a creation rule must be a mapping", True),
        ("- age: a\n    path-regex: x", 3, "`path-regex` is not a field of a creation rule", False),
        ("- age: a\n    path_regex: '['", 3, "`path_regex` is not a valid Go regular expression", True),
        ("- age: a\n    encrypted_regex: a\n    encrypted_suffix: b", 3, "must not have both", True),
        ("- path_regex: a", 2, "the rule has no recipient", False),
    ],
)
def test_problem_has_its_line_and_says_whether_sops_refuses_it(
    rule: str, line: int, message: str, is_error: bool
) -> None:
    [problem] = parse_config(".sops.yaml", f"creation_rules:\n  {rule}\n".encode()).problems
    assert (problem.line, problem.is_error) == (line, is_error) and message in problem.message


def test_invalid_yaml_is_one_problem_and_other_content_has_no_rules() -> None:
    [problem] = parse_config(".sops.yaml", b"a: [").problems
    assert problem.message.startswith("is not valid YAML: ") and problem.is_error
    assert (
        parse_config(".sops.yaml", b"")
        == parse_config(".sops.yaml", b"creation_rules: 5")
        == SopsConfig(".sops.yaml", (), ())
    )


def test_nearest_config_with_rules_applies() -> None:
    files = {"a/b/.sops.yaml": b"", "a/.sops.yaml": RULES, ".sops.yaml": RULES}

    def read(path: str) -> SopsConfig | None:
        return parse_config(path, files[path]) if path in files else None

    found = find_nearest_config(["a/b/c/", "a/b/", "a/", ""], read)
    assert found is not None and found.file == "a/.sops.yaml"
    assert find_nearest_config(["x/"], read) is None
