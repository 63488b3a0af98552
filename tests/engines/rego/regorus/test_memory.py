"""A policy that needs too much memory is an error of that rule; the other rules are evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.protocols import QueryResult
from tests.conftest import Repository, judge

MEMORY_LIMIT = 128 << 20
GOOD = 'package good\nimport rego.v1\ndeny contains "found"\n'
TEXT = f'"{"a" * 64}"'


def chain(first: str, step: str, use: str, count: int = 40) -> str:
    """Rules of which each is made of the one before, `@`."""
    rules = [f"v0 := {first}"]
    rules += [f"v{number} := {step.replace('@', f'v{number - 1}')}" for number in range(1, count + 1)]
    return "\n".join([*rules, use.replace("@", f"v{count}")])


def grow(step: str) -> str:
    return chain(TEXT, step, "deny contains count(@)")


def share(use: str) -> str:
    """A small value whose text has 2 to the power of 40 parts."""
    return chain('["a"]', "[@, @]", use)


TOO_LONG = "a text of more than 64 MB needs too much memory"
TOO_MANY = "a result of more than 1048576 entries needs too much memory"
TOO_LARGE = "needs more than 128 MB of memory"
BOMBS = {
    "replace": (grow('replace(@, "a", @)'), TOO_LONG),
    "replace of nothing": (grow('replace(@, "", "aaaaaaaa")'), TOO_LONG),
    "concat": (grow('concat(@, ["a", "b", "c"])'), TOO_LONG),
    "sprintf": (grow('sprintf("%[1]s%[1]s%[1]s%[1]s", [@])'), TOO_LONG),
    "regex.replace": (grow('regex.replace(@, "a+", "$0$0$0$0$0$0$0$0")'), TOO_LONG),
    "hex.encode": (grow("hex.encode(hex.encode(@))"), TOO_LONG),
    "array.concat": (chain("[1]", "array.concat(@, @)", "deny contains count(@)"), TOO_MANY),
    "json.marshal": (share("deny contains json.marshal(@)"), TOO_LONG),
    "sprintf of a collection": (share('deny contains sprintf("%v", [@])'), TOO_LONG),
    "result": (share("deny contains @"), TOO_LONG),
    "walk": (share('deny contains "x" if {\n walk(@, [path, value])\n value == 1\n}'), TOO_LARGE),
    "another type": (share("deny contains abs(@)"), TOO_LONG),
    "object.union": (chain('{"a": 1}', '{"a": @, "b": @}', "deny contains count(object.union(@, @))"), TOO_LONG),
    "json.unmarshal": (
        't := concat("", ["[", concat(",", ["1" | some i in numbers.range(1, 200000)]), "]"])\n'
        "deny contains count([json.unmarshal(t) | some i in numbers.range(1, 1000)])",
        TOO_LARGE,
    ),
    "comprehension": (
        "deny contains count([[a, b] | some a in numbers.range(1, 1000); some b in numbers.range(1, 2000)])",
        TOO_LARGE,
    ),
    "set": (
        "s contains [a, b] if {\n some a in numbers.range(1, 1000)\n some b in numbers.range(1, 2000)\n}\n"
        "deny contains count(s)",
        TOO_LARGE,
    ),
}


def evaluate(tmp_path: Path, rules: str, inputs: list[bytes]) -> list[QueryResult]:
    (tmp_path / "good.rego").write_text(GOOD)
    (tmp_path / "bomb.rego").write_text(f"package bomb\nimport rego.v1\n{rules}\n")
    engine = RegorusEngine(loader.load_policies(tmp_path, ["."], []), 120, 2, MEMORY_LIMIT)
    return engine.evaluate([(json, ("data.bomb.deny", "data.good.deny")) for json in inputs])


@pytest.mark.parametrize("name", BOMBS)
def test_too_much_memory_is_an_error_of_the_rule_that_needs_it(tmp_path: Path, name: str) -> None:
    rules, reason = BOMBS[name]
    bomb, good = evaluate(tmp_path, rules, [b"{}"])
    assert (bomb.query, bomb.value) == ("data.bomb.deny", None)
    assert reason in bomb.error
    assert "\n" not in bomb.error
    assert (good.value, good.error) == (["found"], "")


def test_rules_beside_one_that_needs_too_much_memory_keep_their_results(tmp_path: Path) -> None:
    items = "[a, b] | input.x; some a in numbers.range(1, 1000); some b in numbers.range(1, 9999)"
    rules = f"deny contains count([{items}])"
    inputs = [b'{"x": true}' if number % 3 == 0 else b'{"x": false}' for number in range(100)]
    answers = evaluate(tmp_path, rules, inputs)
    good = [answer for answer in answers if answer.query == "data.good.deny"]
    assert [answer.input_index for answer in good] == list(range(100))
    assert {(tuple(answer.value), answer.error) for answer in good} == {(("found",), "")}
    bomb = {answer.input_index: answer for answer in answers if answer.query == "data.bomb.deny"}
    # After three inputs the rule is not evaluated again.
    assert {number: bool(bomb[number].error) for number in range(100)} == {
        number: number % 3 == 0 or number > 6 for number in range(100)
    }
    assert all(TOO_LARGE in bomb[number].error for number in (0, 3, 6, 7, 99))
    assert bomb[1].value == [0]


def test_a_policy_that_needs_too_much_memory_is_a_gap_with_its_file(repository: Repository) -> None:
    config = "library: {profile: 'off'}\npolicies: {paths: [p]}\n"
    bomb = f"package bomb\nimport rego.v1\n{BOMBS['replace'][0]}\n"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"
    root = repository({"a.yaml": service, "p/bomb.rego": bomb, "p/good.rego": GOOD, "gatekeeper.yaml": config})
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert [finding.message for finding in verdict.findings] == ["found"]
    assert any("p/bomb.rego:" in gap.reason and TOO_LONG in gap.reason for gap in verdict.coverage.gaps)
