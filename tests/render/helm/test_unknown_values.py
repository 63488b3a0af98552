"""Stand-ins for values that the repository does not have in clear."""

from __future__ import annotations

import base64
import re

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.render.helm.unknown_values import build_stand_in, has_stand_in


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_stand_in_is_a_dns_label_that_is_recognised(name: str, key: str) -> None:
    text = build_stand_in("Secret", name, key)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text)
    assert has_stand_in(text) and has_stand_in({"a": [f"https://{text}.example.com"]})
    assert has_stand_in(base64.b64encode(text.encode()).decode())
    assert has_stand_in(orjson.dumps({"a": text}))


def test_other_values_have_none() -> None:
    assert not any(map(has_stand_in, (None, 1, "", "web", ["gatekeeper"], {"a": "Z2F0ZWtlZXBlcg=="})))
