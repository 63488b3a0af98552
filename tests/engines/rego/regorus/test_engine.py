"""Both engines say the same of resources that are wrong in every place: null, another type, nothing, too much."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gatekeeper._native import Rego
from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation, library, loader, query_plan
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.model import FieldPath
from gatekeeper.protocols import QueryResult
from gatekeeper.workspace import documents
from tests.conftest import SHARED, needs, shared

WRONG: tuple[Any, ...] = (None, "x", [], {}, 7, [None], {"a": None})
IDENTITY: tuple[FieldPath, ...] = ((), ("kind",), ("apiVersion",))
SAMPLE = 500
# regorus prints a number for `%s`; Go's fmt, and so OPA, complains in the middle of the text. See docs/rego.md.
COMPLAINT = re.compile(r"%!s\(\w+=([^)]*)\)")


def paths(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from paths(item, (*path, step))


def damaged() -> list[bytes]:
    """The library's own cases, each with one field replaced: the same sample in every run."""
    found = []
    for case in sorted(library.find_folder().rglob("*.yaml")):
        for document in documents.parse(case.read_bytes())[0] if case.stem[:3] in ("bad", "goo") else ():
            text = document.json
            for path in paths(orjson.loads(text)):
                for wrong in WRONG if path not in IDENTITY else ():
                    value = orjson.loads(text)
                    inner = value
                    for step in path[:-1]:
                        inner = inner[step]
                    inner[path[-1]] = wrong
                    found.append(orjson.dumps(value))
    return random.Random(0).sample(found, SAMPLE)


def answers(config: Config, own: PolicySet, inputs: list[bytes]) -> set[tuple[int, str, str]]:
    plan = query_plan.build_plan(config, own)
    engine = evaluation.start_engine(config, plan, 2)
    try:
        found: list[QueryResult] = engine.evaluate([(json, tuple(plan.rules)) for json in inputs])
    finally:
        engine.close()
    assert not [answer for answer in found if answer.error]
    return {
        (answer.input_index, answer.query, COMPLAINT.sub(r"\1", line))
        for answer in found
        for line in (orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode() for item in answer.value)
    }


def both(library_profile: str, own: PolicySet) -> tuple[set[tuple[int, str, str]], ...]:
    inputs = damaged()
    return tuple(
        answers(Config(library=library_profile, engine=engine, policy_timeout=30.0), own, inputs)
        for engine in ("embedded", "opa")
    )


@needs("opa")
def test_the_library_fails_on_no_resource_and_finds_the_same_with_both_engines() -> None:
    embedded, opa = both("strict", PolicySet((), {}))
    assert embedded == opa
    assert len(embedded) > SAMPLE


@shared("corpora/policies")
@needs("opa")
@pytest.mark.parametrize("folder", ["raspbernetes__k8s-security-policies/policies", "instrumenta__policies"])
def test_public_policies_have_the_same_findings_with_both_engines(folder: str) -> None:
    embedded, opa = both("off", loader.load_policies(SHARED / "corpora" / "policies", [folder]))
    assert embedded == opa
    assert embedded


def test_print_of_a_rule_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """The input can be a Secret."""
    engine = Rego(1000, 1 << 30)
    rules = [f'print("value", input.data)\n  msg := "{n}"' for n in range(2)]
    for n, rule in enumerate(rules):
        engine.add_policy(f"{n}.rego", f"package p{n}\nimport rego.v1\ndeny contains msg if {{\n  {rule}\n}}", False)
    queries = ["data.p0.deny", "data.p1.deny"]
    secret = b'{"kind": "Secret", "data": {"password": "hidden-word"}}'
    # A few inputs are evaluated rule by rule, many by all rules together.
    for count in (1, 100):
        answers = engine.evaluate([(secret, 0)] * count, [[0, 1]], queries, 1)
        assert [orjson.loads(answer[2] or "") for answer in answers] == [["0"], ["1"]] * count
    engine.trace(secret, queries)
    out, errors = capfd.readouterr()
    assert (out, errors) == ("", "")


def test_an_input_reaches_a_rule_as_it_is() -> None:
    value = {
        "apiVersion": "v1",
        "": "",
        "numbers": [0, -1, 2**63, 2**64 - 1, -(2**63), 1.5, -0.25, 1e21, 1e-7, 123456789012345678],
        "texts": ["", "é\u2028\U0001f600", '"\\\n\t\u0000', "x" * 300, "a/b"],
        "others": [None, True, False, [], {}, [[{"a": {"a": {"a": [1]}}}]]],
        "k" * 100: {"kk": 1, "kak": 2, "kbk": 3, "$serde_json::private::Number": "1"},
    }
    rego = Rego(5000, 1 << 30)
    rego.add_policy("a.rego", "package a\n\nimport rego.v1\n\nx contains input\n", False)
    texts = [orjson.dumps(value), orjson.dumps([value]), b"7", b'"x"', b"null"]
    answers = rego.evaluate([(text, 0) for text in texts], [[0]], ["data.a.x"], 1)
    assert [orjson.loads(found or "") for _, _, found, _ in answers] == [[orjson.loads(text)] for text in texts]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1] 2", b"{1: 2}", b"\xff", b'"\xff"', b"[" * 200 + b"]" * 200, b"1e999"]
)
def test_an_input_that_is_no_json_is_an_error(text: bytes) -> None:
    rego = Rego(5000, 1 << 30)
    rego.add_policy("a.rego", "package a\n\nimport rego.v1\n\nx contains 1\n", False)
    [(_, _, found, error)] = rego.evaluate([(text, 0)], [[0]], ["data.a.x"], 1)
    assert found is None and error
