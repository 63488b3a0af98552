"""A secret value is never printed by accident."""

from __future__ import annotations

import logging
import pickle

import pytest

from gatekeeper.secret_value import SecretBytes

SECRET = SecretBytes(b"hunter2")


def test_no_text_form_shows_the_value(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s %r", SECRET, SECRET)
    texts = [
        str(SECRET),
        repr(SECRET),
        f"{SECRET:>20}",
        f"{[SECRET]}",
        str(ValueError(SECRET)),
        caplog.text,
    ]
    assert all("(hidden)" in text and "hunter2" not in text for text in texts)


def test_the_value_is_revealed_only_on_purpose() -> None:
    assert SECRET.reveal() == b"hunter2" and len(SECRET) == 7
    assert SecretBytes(b"hunter2") == SECRET and SecretBytes(b"x") != SECRET and SECRET != b"hunter2"


def test_a_secret_value_is_neither_pickled_nor_hashed() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        hash(SECRET)
