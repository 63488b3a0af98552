"""Recipients of SOPS files in one normalized form."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.sops.recipients import compare_groups, is_same_recipient, parse_metadata_groups, parse_rule_groups

VAULT = {"vault_address": "https://v/", "engine_path": "/sops/", "key_name": "k"}
AZURE = {"vault_url": "https://a/", "name": "k", "version": "1"}


@pytest.mark.parametrize(
    ("rule", "recipients"),
    [
        ({}, []),
        ({"age": "age1a, age1b,"}, ["age:age1a", "age:age1b"]),
        ({"age": ["ssh-ed25519 AAAA me@host"]}, ["age:ssh-ed25519 AAAA"]),
        ({"pgp": "ab cd ef"}, ["pgp:ABCDEF"]),
        ({"kms": [{"arn": "arn:k", "role": "arn:r"}]}, ["kms:arn:k+arn:r"]),
        ({"azure_keyvault": "https://a/keys/k/1"}, ["azure_kv:https://a/keys/k/1"]),
        ({"hc_vault_transit_uri": "https://v/v1/sops/keys/k/"}, ["hc_vault:https://v/v1/sops/keys/k"]),
    ],
)
def test_recipients_of_a_rule_are_normalized(rule: dict[str, Any], recipients: list[str]) -> None:
    assert parse_rule_groups(rule) == ((frozenset(recipients),) if recipients else ())


def test_key_groups_of_a_rule_include_merged_groups() -> None:
    groups = [{"age": ["age1a"], "merge": [{"pgp": ["ab"]}]}, {"azure_keyvault": [AZURE]}, "x"]
    assert parse_rule_groups({"key_groups": groups, "age": "ignored"}) == (
        frozenset({"age:age1a", "pgp:AB"}),
        frozenset({"azure_kv:https://a/keys/k/1"}),
        frozenset(),
    )


def test_rule_and_metadata_give_the_same_form() -> None:
    metadata = {"hc_vault": [VAULT], "azure_kv": [AZURE], "gcp_kms": [{"resource_id": "r"}], "age": None}
    assert parse_metadata_groups(metadata) == (
        frozenset({"hc_vault:https://v/v1/sops/keys/k", "azure_kv:https://a/keys/k/1", "gcp_kms:r"}),
    )
    assert parse_metadata_groups({"key_groups": [metadata]}) == parse_metadata_groups(metadata)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("age:a", "age:a", True),
        ("age:a", "age:b", False),
        ("pgp:0X1234567812345678", "pgp:12345678", True),
        ("pgp:12345678", "pgp:345678", False),
        ("azure_kv:https://a/keys/k", "azure_kv:https://a/keys/k/1", True),
        ("azure_kv:https://a/keys/k", "azure_kv:https://a/keys/kk", False),
    ],
)
def test_same_recipient_by_key_suffix_or_without_version(first: str, second: str, is_same: bool) -> None:
    assert is_same_recipient(first, second) is is_same_recipient(second, first) is is_same


def test_comparison_lists_missing_and_unexpected_recipients() -> None:
    expected, actual = (frozenset({"age:a", "age:b"}),), (frozenset({"age:b"}), frozenset({"age:c"}))
    assert compare_groups(expected, actual) == (["age:a"], ["age:c"])
