"""CEL expressions within bounds."""

from __future__ import annotations

import pytest

from gatekeeper.errors import PolicyError
from gatekeeper.kube import cel
from gatekeeper.workspace.documents import HAS_NATIVE_PARSER

pytestmark = pytest.mark.skipif(not HAS_NATIVE_PARSER, reason="installed without a Rust compiler")


def test_a_short_expression_compiles() -> None:
    compiled = cel.compile_expressions([("", "object.items.all(item, item > 0)")])
    assert compiled.evaluate([[("object", b'{"items": [1]}')], [("object", b'{"items": [0]}')]], 1) == [
        [("true", "")],
        [("false", "")],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "the CEL expression"),
        ("'" + "a" * cel.MAX_LENGTH + "'", "16386 characters, nested 0 brackets deep, is too large"),
        ("(" * 101 + "1" + ")" * 101, "nested 101 brackets deep, is too large"),
        ("a.all(b, b.all(c, c.exists(d, d.map(e, e) == [])))", "4 nested loops over lists; use at most 3"),
    ],
)
def test_an_expression_that_fails_or_could_take_too_long_is_an_error(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        cel.compile_expressions([("", text)])
