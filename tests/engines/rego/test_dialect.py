"""What the guard changes in a policy's text, and what it leaves alone."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego import dialect

CALL = dialect.EACH_CALL


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("some x in input.a\n", f"some x in {CALL}( input.a)\n"),
        ("some i, x in input.a; x > 1\n", f"some i, x in {CALL}( input.a); x > 1\n"),
        ("{x | some x in input[a].b}\n", f"{{x | some x in {CALL}( input[a].b)}}\n"),
        ("some {\"a\": x} in f(\n  y,\n)\n", None),
        ("some x in f(\n  y,\n)\n", f"some x in {CALL}( f(\n  y,\n))\n"),
        ("# some x in y\nz := `some x in y`\n", None),
        ("some x\nx in y\n", None),
    ],
)  # fmt: skip
def test_what_is_no_collection_has_no_items(text: str, changed: str | None) -> None:
    assert dialect.lenient(text) == (changed or text)
