"""Rego that the embedded engine would evaluate in another way than OPA is refused with its line."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.regorus import guard
from gatekeeper.errors import PolicyError


def reject(line: str) -> None:
    guard.reject_differences(loader.parse_module(f"package a\n\n{line}\n", "p.rego"))


def is_rejected(line: str) -> bool:
    try:
        reject(line)
    except PolicyError:
        return True
    return False


@pytest.mark.parametrize(
    "line",
    [
        *(f"x := {name}(input)" for name in guard.DIFFERING_BUILTINS),
        "x = walk(input)",
        "import future.keywords.not",
        "x := 1e10",
        'deny { glob.match("{a,}", [], input.x) }',
        'deny { regex.match("a**", input.x) }',
        "deny { regex.split(`(?x)a`, input.x) }",
        'deny { regex.replace(input.x, "(?=a)", "b") }',
        'x := time.parse_ns("Mon Jan 2", input.x)',
        "deny { 1, 2 in input.x }",
        "deny if { k, v in {1, 2} }",
    ],
)
def test_a_difference_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(PolicyError, match=r"^p\.rego:3: the embedded engine differs from OPA: .*; set `engine: opa`$"):
        reject(line)


@pytest.mark.parametrize(
    "line",
    [
        '# strings.count("a")',
        'x := "1e10"',
        "x := my.strings.count(1)",
        "deny if { some k, v in input.x }",
        "deny if { every k, v in input.x { k } }",
        "deny if { f(1, 2 in input.x) }",
        "x := a1e5",
        "x := [y | y in input.x]",
        'deny { regex.match("^[a-z0-9]{2,63}$", input.x) }',
        'deny { regex.replace(input.x, "[^a-z]", "") }',
        'deny { glob.match("*.example.com", ["."], input.x) }',
        "deny { regex.match(pattern, input.x) }",
        '# regex.match("a**", input.x)',
    ],
)
def test_what_only_looks_like_a_difference_is_accepted(line: str) -> None:
    assert not is_rejected(line)


@pytest.mark.parametrize("name", guard.EXTERNAL_BUILTINS)
def test_a_builtin_with_access_to_the_outside_needs_the_config(name: str) -> None:
    module = loader.parse_module(f"package a\n# {name}\nx := y {{ y := {name}({{}}) }}\n", "p.rego")
    with pytest.raises(PolicyError, match=r"p\.rego:3: .*policies\.builtins"):
        guard.reject_external_calls(module, [])
    guard.reject_external_calls(module, [name])
    others = [other for other in guard.EXTERNAL_BUILTINS if other != name]
    with pytest.raises(PolicyError):
        guard.reject_external_calls(module, others)
