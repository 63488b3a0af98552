"""SOPS documents as the value of a Secret, in each format of sops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.engines.plaintext.embedded_sops import has_encrypted_values

ENC = "ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]"


@pytest.mark.parametrize("value", [ENC, "plain"])
@pytest.mark.parametrize(
    "text",
    [
        f"a: VALUE\nsops:\n  mac: {ENC}\n",
        f'{{"a": "VALUE", "sops": {{"mac": "{ENC}"}}}}',
        f"A=VALUE\nsops_mac={ENC}\n",
        f"[a]\nb = VALUE\n[sops]\nversion = 3\nmac = {ENC}\n",
    ],
    ids=["YAML", "JSON", "dotenv", "INI"],
)
def test_a_document_is_safe_only_if_a_value_is_encrypted(text: str, value: str) -> None:
    assert has_encrypted_values(text.replace("VALUE", value)) is (value == ENC)


@pytest.mark.parametrize(
    "text",
    ["", "a: 1", ENC, f"a: {ENC}\n", f"a: {ENC}\nsops: {{version: 3}}\n", f"a: {ENC}\nsops: [1]\n", f"a: [{ENC}\n"],
    ids=["empty", "plain", "a value alone", "no metadata", "no MAC", "metadata of another kind", "broken"],
)
def test_text_that_only_looks_encrypted_is_no_sops_document(text: str) -> None:
    assert has_encrypted_values(text) is None


@settings(deadline=None)
@given(st.text(max_size=30))
def test_text_without_a_mac_is_never_safe(text: str) -> None:
    assert has_encrypted_values(text) is None
    assert not has_encrypted_values(f"a: {ENC}\n{text.replace('sops', '')}")
