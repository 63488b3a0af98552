"""No plaintext value of a Secret passes, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.terminal.redaction import HIDDEN_VALUE, LAST_APPLIED, hide_secret_values

CIPHERTEXT = "ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]"
MARK = "hunter2-Zk9vQ1x7Lm3"


def secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, **fields}


@pytest.mark.parametrize("section", ["data", "stringData"])
def test_values_are_hidden_and_keys_and_ciphertext_stay(section: str) -> None:
    hidden = hide_secret_values(secret(**{section: {"password": MARK, "number": 7, "sealed": CIPHERTEXT}}))
    assert hidden[section] == {"password": HIDDEN_VALUE, "number": HIDDEN_VALUE, "sealed": CIPHERTEXT}


def test_the_copy_that_kubectl_stores_is_hidden() -> None:
    annotations = {LAST_APPLIED: f'{{"data":{{"password":"{MARK}"}}}}', "note": "kept"}
    hidden = hide_secret_values(secret(metadata={"name": "db", "annotations": annotations}))
    assert hidden["metadata"]["annotations"] == {LAST_APPLIED: HIDDEN_VALUE, "note": "kept"}


@given(st.sampled_from([MARK, [MARK], {"a": {"b": [MARK]}}, {"a": MARK}, [[MARK]]]), st.booleans())
def test_a_value_of_a_wrong_type_is_hidden_too(value: Any, is_data: bool) -> None:
    assert MARK not in str(hide_secret_values(secret(**{"data" if is_data else "stringData": value})))


def test_other_kinds_and_secrets_without_values_stay_unchanged() -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "b"}}
    assert hide_secret_values({**config_map}) == config_map
    assert hide_secret_values(secret()) == secret()
    assert hide_secret_values(secret(metadata=None)) == secret(metadata=None)
