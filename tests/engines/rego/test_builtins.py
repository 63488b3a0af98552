"""Each builtin and operator on edge cases: the embedded engine gives OPA's result, or refuses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.engines.rego.loader import parse_module
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.errors import PolicyError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from tests.conftest import needs

TABLE = Path(__file__).with_name("builtins.rego.txt")
INPUT = {"null": None, "seven": 7, "half": 0.5, "text": "é", "list": [1], "map": {"a": 1}}
EQUAL, REFUSED, MISSING = "equal", "refused", "undefined"
# Everyday policies must not be refused: of this table, with its many odd patterns, this many are evaluated.
LEAST_EVALUATED = 0.75


def expressions() -> list[str]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def ask_opa(folder: Path) -> dict[str, Any]:
    """What OPA says of all expressions, in one process; those that it does not compile are left out."""
    rules = [f"r{number} := [{expression}]" for number, expression in enumerate(expressions())]
    policy = folder / "t.rego"
    program = str(toolchain.DEFAULT_TOOLCHAIN.find("opa"))
    (folder / "input.json").write_bytes(orjson.dumps(INPUT))
    policy.write_text("package t\n\nimport rego.v1\n\n" + "\n".join(rules) + "\n", encoding="utf-8")
    code, out, error = run_command(
        [program, "eval", "--format=raw", "--data", str(policy), "--input", str(folder / "input.json"), "data.t"], 120
    )
    assert code == 0, (out[:2000], error[:2000])
    found: dict[str, Any] = orjson.loads(out)
    return found


def ask_embedded(expression: str) -> Any:
    module = parse_module(f"package t\n\nimport rego.v1\n\nr := [{expression}]\n", "t.rego")
    try:
        engine = RegorusEngine(PolicySet((module,), {}), 5.0, 1)
        answers = engine.evaluate([(orjson.dumps(INPUT), ("data.t.r",))])
    except PolicyError:
        return REFUSED
    if any(answer.error for answer in answers):
        return REFUSED
    return answers[0].value if answers else MISSING


@needs("opa")
def test_the_embedded_engine_gives_the_result_of_opa_or_refuses(tmp_path: Path) -> None:
    results = ask_opa(tmp_path)
    counted = Counter[str]()
    different = []
    for number, expression in enumerate(expressions()):
        wanted, found = results.get(f"r{number}", MISSING), ask_embedded(expression)
        word = REFUSED if found is REFUSED else EQUAL if found == wanted else "different"
        counted[word] += 1
        if word == "different":
            different.append(f"{expression}: {found!r}, OPA: {wanted!r}")
    assert not different, (counted, different)
    assert counted[EQUAL] > LEAST_EVALUATED * counted.total(), counted


@pytest.mark.parametrize(
    "expression",
    [
        'regex.match("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-1")',
        'regex.match(`^sha256:[a-f0-9]{64}$`, "latest") == false',
        'regex.match("\\\\d+", "9é")',
        'semver.compare("v1.1.0", "1.2.0") == -1',
        'glob.match("*.example.com", ["."], "a.example.com")',
        'glob.match("registry.io/**", ["/"], "registry.io/a/b")',
        'sprintf("%s has %d", ["é", 3]) == "é has 3"',
        "100 * 1.1 == 110",
        "0.1 + 0.2 == 0.3",
        'to_number(trim_suffix("500m", "m")) / 1000 == 0.5',
        'yaml.unmarshal("a: 1\\nb: [x, z]") == {"a": 1, "b": ["x", "z"]}',
        'json.marshal({"a": "<"}) == `{"a":"\\u003c"}`',
    ],
)
def test_everyday_policies_run_embedded(expression: str) -> None:
    assert ask_embedded(expression) == [True]
