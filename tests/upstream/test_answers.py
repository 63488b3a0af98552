"""Results in another form than expected are errors of the program, and their text is in no message."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream.answers import decode_answer, decode_list


def test_a_result_is_decoded() -> None:
    assert decode_answer(lambda answer: answer["a"], {"a": 1}) == 1
    assert decode_list(lambda entry: entry * 2, [1, 2], 2) == [2, 4]


@pytest.mark.parametrize("answer", [None, 5, "hunter2", {}, {"a": 1}, [], [{}], [{"a": 1}], [{"b": 1}, {"b": 1}]])
def test_another_form_is_an_error_without_its_text(answer: Any) -> None:
    with pytest.raises(
        ToolError, match=r"^other answered in a form that .*; run `gatekeeper tools install other`"
    ) as raised:
        decode_list(lambda entry: entry["a"], answer, 2, "other")
    assert "hunter2" not in str(raised.value) and raised.value.__cause__ is None


@pytest.mark.parametrize("error", [AttributeError, IndexError, KeyError, TypeError, ValueError])
def test_errors_of_decoding_are_errors_of_the_program(error: type[Exception]) -> None:
    def decode(_: object) -> None:
        raise error("hunter2")

    with pytest.raises(ToolError, match="gatekeeper-upstream answered in a form"):
        decode_answer(decode, {})


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        decode_answer(lambda answer: answer / 0, 1)
