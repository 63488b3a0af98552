"""What the guard changes in a policy's text, and what it leaves alone."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego import library
from gatekeeper.engines.rego.regorus import dialect, guard

CALL = dialect.ITEMS_FUNCTION


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("some x in input.a\n", f"some x in {CALL}( input.a)\n"),
        ("some i, x in input.a; x > 1\n", f"some i, x in {CALL}( input.a); x > 1\n"),
        ("{x | some x in input[a].b}\n", f"{{x | some x in {CALL}( input[a].b)}}\n"),
        ('some {"a": x} in f(\n  y,\n)\n', None),
        ("some x in f(\n  y,\n)\n", f"some x in {CALL}( f(\n  y,\n))\n"),
        ("# some x in y\nz := `some x in y`\n", None),
        ("some x\nx in y\n", None),
    ],
)
def test_value_that_is_not_a_collection_has_no_items(text: str, changed: str | None) -> None:
    assert dialect.rewrite_leniently(text) == (changed or text)


def test_the_shipped_rules_need_no_other_words_and_no_guard() -> None:
    """They are loaded as they are: what is changed or refused in others must not be in them."""
    for module in library.load_rules(include_tests=True)[1].modules:
        assert module.is_shipped
        assert dialect.rewrite(module.text) == module.text, module.path
        guard.reject_differences(module)
        guard.reject_external_calls(module, ())


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("f(x) {\n  a.b\n  (x - 1) > 2\n}\n", "f(x) {\n  a.b;\n  (x - 1) > 2\n}\n"),
        ("x := f(\n  (1 + 2),\n)\n", None),
        ("v[m] {\n  a\n} {\n  b\n}\n", "v[m] {\n  a\n} v[m] {\n  b\n}\n"),
        ('f(x) = {"a": y} {\n  y := x\n}\n', None),
        (
            "# about\nf(x) = y {\n  y := x\n} {\n  y := 2\n}\n",
            "# about\nf(x) = y {\n  y := x\n} f(x) = y {\n  y := 2\n}\n",
        ),
        ('g(_, "a")\n\nq { not g(p.x, p.y) }\n', 'g(_, "a")\n\nq { not g( object.get(p, ["x"], null), p.y) }\n'),
        ("g(_)\n\nq { g(input.x); g(data.y) }\n", None),
        ("  a = b[a]\n", "  b[a] == a\n"),
    ],
)
def test_rules_in_the_words_that_the_engine_takes(text: str, taken: str | None) -> None:
    assert dialect.rewrite(text) == (taken or text)
    assert dialect.rewrite(text).count("\n") == text.count("\n"), "every line stays where it is"
