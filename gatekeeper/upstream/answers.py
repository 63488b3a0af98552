"""Results of calls: what a program answers in another form than its callers expect is an error of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gatekeeper.errors import ToolError
from gatekeeper.upstream.worker import PROGRAM

Result = TypeVar("Result")


def decode_answer(decode: Callable[[Any], Result], answer: Any, name: str = PROGRAM) -> Result:
    """What a function makes of the result of a call.

    Args:
        decode: fails with one of Python's errors for missing keys, wrong types and wrong lengths.
        name: the name of the program.

    Raises:
        ToolError: the result has another form than the function expects. Its text is not in the message, because it can
            hold a secret.
    """
    try:
        return decode(answer)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ToolError(
            f"{name} answered in a form that Gatekeeper does not know; run `gatekeeper tools install {name}`"
        ) from None


def decode_list(decode: Callable[[Any], Result], answer: Any, count: int, name: str = PROGRAM) -> list[Result]:
    """The entries of a result, each decoded.

    Args:
        count: how many entries the result must have.

    Raises:
        ToolError: the result is not a list of this length, or an entry has another form than expected.
    """

    def decode_entries(entries: Any) -> list[Result]:
        if not isinstance(entries, list) or len(entries) != count:
            raise ValueError("not a list of the expected length")
        return [decode(entry) for entry in entries]

    return decode_answer(decode_entries, answer, name)
