"""`sprintf` says what OPA says, whatever the words and the values: an undefined message is a finding that is lost."""

from __future__ import annotations

import itertools
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation
from gatekeeper.engines.rego.loader import parse_module
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RuleQuery
from tests.conftest import needs

FLAGS = ("", "-", "+", "0", "#", " ")
SIZES = ("", "6", ".2", "8.3", "*")
VERBS = "vsdqxXobctTfeg%U"
VALUES: tuple[Any, ...] = (
    "web",
    'a"b',
    "",
    0,
    7,
    -42,
    2**63 - 1,
    1.5,
    -0.25,
    1234567.5,
    1e-7,
    True,
    None,
    [1, "x"],
    {"a": {"b": [1.5]}},
    [],
)
FORMATS = (
    "%v %v",
    "%v",
    "no verb",
    "%[2]v %[1]v",
    "%[9]v",
    "100%",
    "%!",
    "%[x]v",
    "%d%%",
    "%v %[1]d",
    "%.[2]*[1]f",
    "é%5s|",
)


def cases() -> list[tuple[str, list[Any]]]:
    single = [
        (f"<%{flag}{size}{verb}>", [5, value] if size == "*" else [value])
        for flag, size, verb, value in itertools.product(FLAGS, SIZES, VERBS, VALUES)
        # Left out: the forms that no message has (hexadecimal texts in groups, quotes of another kind, binary floats).
        if not (
            (flag in ("#", "+", " ") and verb in "qxX") or (isinstance(value, float) and (flag == "#" or verb in "bxX"))
        )
    ]
    return single + [(text, list(values)) for text in FORMATS for values in ([], ["a"], [3, "b"], [1, 2, 3], [2.5, 2])]


@needs("opa")
def test_every_form_is_that_of_opa() -> None:
    wanted = cases()
    rule = "package a\n\nimport rego.v1\n\ndeny contains [i, sprintf(c[0], c[1])] if some i, c in input.cases\n"
    module = parse_module(rule, "a.rego")
    chosen = QueryPlan({"data.a.deny": RuleQuery("deny", "error", "", (), module)}, PolicySet((module,), {}))
    said = []
    for engine in ("embedded", "opa"):
        started = evaluation.start_engine(Config(engine=engine), chosen, 1)
        try:
            [answer] = started.evaluate([(orjson.dumps({"cases": wanted}), ("data.a.deny",))])
        finally:
            started.close()
        said.append(dict(answer.value))
    ours, theirs = said
    assert len(theirs) == len(wanted)
    differing = [(wanted[i], ours.get(i), theirs[i]) for i in theirs if ours.get(i) != theirs[i]]
    assert not differing, (len(differing), differing)
