"""Substitution by Flux's own library: batches, objects that fail alone, and unusual texts."""

from __future__ import annotations

import random

import orjson
import pytest

from gatekeeper.upstream import substitution
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.substitution import SubstitutionAnswer, substitute_objects
from tests.conftest import needs

pytestmark = needs("gatekeeper-upstream")
SIGNS = [
    "$",
    "$$",
    "${",
    "}",
    "${A}",
    "${U}",
    "A",
    ":-",
    ":=",
    ":",
    "/",
    "//",
    "#",
    "%",
    "^^",
    ",",
    "\\",
    "\\/",
    "1",
    "-1",
    "*",
    "?",
    "[a]",
    "é",
    "x",
    ".",
]


def test_each_object_has_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substitution, "MAX_BATCH_OBJECTS", 2)
    texts = ["${A}", "plain", "${A", "${U} $${A}", "${A:-x} 1"]
    answers = substitute_objects(open_client(""), [orjson.dumps({"a": text}) for text in texts], {"A": "v"})
    assert answers == [
        SubstitutionAnswer({"a": "v"}),
        SubstitutionAnswer(),
        SubstitutionAnswer(fault="missing closing brace"),
        SubstitutionAnswer({"a": "${U} ${A}"}),
        SubstitutionAnswer({"a": "v 1"}),
    ]
    assert substitute_objects(open_client(""), [], {"A": "v"}) == []


def test_any_text_has_a_result_or_a_fault() -> None:
    chosen = random.Random(5)
    texts = ["".join(chosen.choices(SIGNS, k=chosen.randint(0, 12))) for _ in range(3000)]
    answers = substitute_objects(open_client(""), [orjson.dumps({"a": text}) for text in texts], {"A": "v"})
    assert len(answers) == len(texts)
    assert all(answer.value is None or not answer.fault for answer in answers)
    assert all(answer == SubstitutionAnswer() for text, answer in zip(texts, answers, strict=True) if "$" not in text)
