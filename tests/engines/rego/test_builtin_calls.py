"""Random calls of each builtin: the embedded engine gives OPA's result, or refuses."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.engines.rego.loader import parse_module
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.errors import PolicyError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from tests.conftest import needs
from tests.engines.rego import builtin_calls

SEED = 20261128
CALLS_PER_BUILTIN = 40
HEADING = "package t\n\nimport future.keywords\n\n"
MISSING = "undefined"
# The guard refuses these in each policy.
NOT_EVALUATED = [
    "graph.reachable_paths",
    "json.is_valid",
    "numbers.range_step",
    "strings.count",
    "strings.replace_n",
    "time.parse_duration_ns",
    "uuid.parse",
    "yaml.is_valid",
    "yaml.marshal",
]


def ask_opa(rules: list[str], document: dict[str, Any], folder: Path) -> dict[str, Any]:
    policy, data = folder / "t.rego", folder / "input.json"
    policy.write_text(HEADING + "\n".join(rules) + "\n", encoding="utf-8")
    data.write_bytes(orjson.dumps(document))
    program = str(toolchain.DEFAULT_TOOLCHAIN.find("opa"))
    arguments = ["eval", "--v0-compatible", "--format=raw", "--data", str(policy), "--input", str(data), "data.t"]
    code, out, error = run_command([program, *arguments], 120)
    assert code == 0, (out[:2000], error[:2000])
    found: dict[str, Any] = orjson.loads(out)
    return found


def ask_embedded(rules: list[str], document: dict[str, Any]) -> dict[str, Any] | None:
    """The results by rule, without those that the engine refuses while it evaluates; None if it refuses the builtin."""
    text = HEADING + "\n".join(rules) + "\n"
    try:
        engine = RegorusEngine(PolicySet((parse_module(text, "t.rego"),), {}), 60.0, 1)
    except PolicyError:
        return None
    results: dict[str, Any] = {}
    names = [rule.partition(" ")[0] for rule in rules]
    for name in names:
        try:
            answers = engine.evaluate([(orjson.dumps(document), (f"data.t.{name}",))])
        except PolicyError:
            continue
        if not any(answer.error for answer in answers):
            results[name] = answers[0].value if answers else MISSING
    return results


@needs("opa")
def test_random_calls_have_the_result_of_opa_or_are_refused(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    counted, different, refused = Counter[str](), [], []
    for builtin in filter(builtin_calls.can_compare, builtin_calls.list_builtins()):
        calls = [builtin_calls.build_arguments(chance, builtin) for _ in range(CALLS_PER_BUILTIN)]
        rules = [f"r{number} = [{builtin_calls.format_call(builtin, number)}]" for number in range(len(calls))]
        document = {"calls": calls}
        found = ask_embedded(rules, document)
        if found is None:
            refused.append(builtin["name"])
            continue
        evaluated = [rule for rule in rules if rule.partition(" ")[0] in found]
        results = ask_opa(evaluated, document, tmp_path)
        for number, arguments in enumerate(calls):
            name = f"r{number}"
            if name not in found:
                counted["refused"] += 1
                continue
            counted["evaluated"] += 1
            if found[name] != results.get(name, MISSING):
                different.append(
                    f"{builtin['name']}{arguments!r}: {found[name]!r}, OPA: {results.get(name, MISSING)!r}"
                )
    assert refused == NOT_EVALUATED
    assert not different, (len(different), different)
    assert counted["evaluated"] > counted["refused"], counted
