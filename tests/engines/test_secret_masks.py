"""Values of Secrets are hidden in messages of policies, in every form in which a policy may repeat them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.engines import secret_masks
from gatekeeper.engines.secret_masks import SecretMask
from gatekeeper.model import Finding, Gap, Location
from tests.engines.resources import build_resource

PASSWORD = "Tr0ub4dor-and-3"
ENCODED = base64.b64encode(PASSWORD.encode()).decode()


def mask(**fields: Any) -> SecretMask:
    metadata = {"name": "database", "namespace": "shop"}
    return SecretMask({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **fields})


@pytest.mark.parametrize("fields", [{"stringData": {"password": PASSWORD}}, {"data": {"password": ENCODED}}])
@pytest.mark.parametrize(
    "form", [PASSWORD, ENCODED, PASSWORD.upper(), PASSWORD.lower(), PASSWORD[:8], PASSWORD[4:], f'"{PASSWORD}"']
)
def test_a_value_is_hidden_in_each_form(fields: dict[str, Any], form: str) -> None:
    hidden = mask(**fields).hide(f"the password {form} of shop/database is weak")
    assert hidden.replace('"', "") == "the password (hidden) of shop/database is weak"


def test_short_values_are_hidden_as_whole_words() -> None:
    assert mask(stringData={"a": "7x"}).hide("7x is no 7xy") == "(hidden) is no 7xy"


def test_what_everyone_knows_is_shown() -> None:
    secret = mask(stringData={"connection": "shop:database:password-of-them"})
    assert secret.hide("shop/database has connection") == "shop/database has connection"
    assert secret.hide("password-of", "password-of") == "password-of"
    assert secret.hide("password-of", "no") == "(hidden)"


def test_a_copy_of_a_value_in_another_field_makes_it_no_less_secret() -> None:
    metadata = {"name": "database", "annotations": {"copy": f"password: {PASSWORD}"}}
    assert mask(metadata=metadata, data={"password": ENCODED}).hide(f"password {PASSWORD}") == "password (hidden)"


@pytest.mark.parametrize("data", [{"a": "%"}, {"a": "/w=="}, {"a": None}, {"a": {"b": 1}}, [], "text", None])
def test_malformed_secrets_have_a_mask(data: Any) -> None:
    assert mask(data=data).hide("nothing of it") == "nothing of it"


def test_each_secret_hides_its_own_values() -> None:
    passwords = [f"{PASSWORD}-{number}" for number in range(3)]
    secrets = [build_resource({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": each}}) for each in passwords]
    for first in range(3):
        for second in range(3):
            text = f"it is {passwords[second]}"
            hidden = secret_masks.hide_values(text, secrets[first])
            assert passwords[second] not in hidden
            assert (hidden == "it is (hidden)") is (first == second)


def test_only_secrets_of_kubernetes_are_masked() -> None:
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": PASSWORD}}
    assert secret_masks.hide_values(PASSWORD, build_resource(value)) == PASSWORD
    assert secret_masks.hide_values(PASSWORD, build_resource({**value, "kind": "Secret"})) == "(hidden)"


def test_values_in_texts_about_other_resources_are_hidden() -> None:
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": ENCODED, "b": "c2hvcnQ="}}
    finding = Finding("r", "error", f"short {PASSWORD}", Location("a.yaml"))
    findings, gaps = secret_masks.hide_foreign_values(
        [finding], [Gap("a.yaml", ENCODED)], [build_resource(value), build_resource({**value, "kind": "ConfigMap"})]
    )
    assert [one.message for one in findings] == ["short (hidden)"] and [gap.reason for gap in gaps] == ["(hidden)"]


@given(st.text(min_size=1, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_value_of_four_characters_is_left(value: str, before: str, after: str) -> None:
    clean = value.strip()
    text = mask(stringData={"k": value}).hide(f"{before}{clean}{after}")
    if len(clean) >= secret_masks.MIN_VALUE_LENGTH and clean.lower() not in mask()._public:
        assert clean not in text.replace(secret_masks.HIDDEN, "\0")
