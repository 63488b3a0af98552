"""The keys in a decryption Secret, and which objects are decrypted."""

from __future__ import annotations

import pytest

from gatekeeper.errors import SecretFileError
from gatekeeper.flux import decryption
from gatekeeper.secret_value import SecretBytes


def test_keys_are_chosen_by_their_suffix() -> None:
    data = {"b.agekey": b"two\n", "a.agekey": b"one", "p.asc": b"pgp", "readme": b"x"}
    keys = decryption.parse_keys({name: SecretBytes(value) for name, value in data.items()})
    assert keys.age.reveal() == b"one\ntwo" and [key.reveal() for key in keys.pgp] == [b"pgp"]


def test_secret_without_keys_is_an_error_that_names_its_entries_and_no_value() -> None:
    with pytest.raises(SecretFileError, match="but `identity`") as error:
        decryption.parse_keys({"identity": SecretBytes(b"hunter2")})
    assert "hunter2" not in str(error.value)
    with pytest.raises(SecretFileError, match="but nothing"):
        decryption.parse_keys({})


def test_annotated_object_stays_encrypted() -> None:
    value = {"kind": "Secret", "metadata": {"name": "a"}, "sops": {}}
    assert decryption.is_encrypted(value) and not decryption.is_encrypted({"kind": "Secret", "metadata": {}})
    annotations = {"kustomize.toolkit.fluxcd.io/decrypt": "disabled"}
    assert not decryption.is_encrypted({**value, "metadata": {"name": "a", "annotations": annotations}})
