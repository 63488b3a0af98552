"""Decoding of what the program answers: only forms and values that have a meaning."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno.results import (
    Mutation,
    PolicyDescription,
    RuleResult,
    decode_descriptions,
    decode_mutations,
    decode_results,
)
from gatekeeper.errors import ToolError

DESCRIBED = {"rules": ["r"], "mutating": None, "notes": ["n"], "refusals": None}
RESULT = {"policy": 0, "rule": "r", "status": "fail", "message": "m", "path": "/a/", "enforced": True}


def test_answers_are_decoded() -> None:
    answer = {"policies": [DESCRIBED], "faults": ["", "no kind"]}
    assert decode_descriptions(answer, 1, 2) == ([PolicyDescription(["r"], (), ["n"], ())], ["", "no kind"])
    assert decode_descriptions({"policies": None, "faults": None}, 0, 0) == ([], [])
    result = RuleResult(0, "r", "fail", "m", "/a/", True)
    assert decode_results([[RESULT], None], 2, 1) == [[result], []]
    mutations = [
        {"object": {"a": 1}, "changes": [RESULT], "faults": None},
        {"object": None, "changes": [], "faults": []},
    ]
    assert decode_mutations(mutations, 2, 1) == [Mutation({"a": 1}, [result], []), Mutation(None, [], [])]


@pytest.mark.parametrize(
    "entry",
    [
        {"object": "a", "changes": None, "faults": None},
        {"object": None, "changes": None},
        {"object": None, "changes": None, "faults": [{**RESULT, "policy": 1}]},
        {"object": None, "changes": [{**RESULT, "status": "lost"}], "faults": None},
        {"object": None, "changes": [{**RESULT, "rule": None}], "faults": None},
        [],
    ],
)
def test_a_mutation_of_another_form_is_an_error(entry: object) -> None:
    with pytest.raises(ToolError, match=r"^gatekeeper-kyverno answered in a form that Gatekeeper does not know"):
        decode_mutations([entry], 1, 1)
