"""What Helm renders: values that can be secret are in no text."""

from __future__ import annotations

import base64

from gatekeeper.upstream.helm_release import FluxValues, ValuesReference


def test_values_are_encoded_in_order_and_not_shown() -> None:
    first = ValuesReference("a of Secret b", b"hidden-word", "x.y", is_literal=True)
    values = FluxValues(("values.yaml", "prod.yaml"), True, (first,), b'{"n":1}')
    assert "hidden-word" not in repr(values)
    encoded = values.encode()
    assert encoded["chartFiles"] == ["values.yaml", "prod.yaml"] and encoded["ignoreMissing"] is True
    assert base64.b64decode(encoded["inline"]) == b'{"n":1}'
    [reference] = encoded["references"]
    assert reference == {
        "name": "a of Secret b",
        "data": base64.b64encode(b"hidden-word").decode(),
        "targetPath": "x.y",
        "literal": True,
    }
