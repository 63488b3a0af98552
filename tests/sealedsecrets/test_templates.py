"""Templates of SealedSecrets, rendered by the real Go program."""

from __future__ import annotations

import pytest

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets.templates import render_templates
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs

VALUES = {"password": SecretBytes(b"s3cr3t")}


def test_text_without_a_template_is_used_unchanged_and_never_replaces_a_sealed_value() -> None:
    rendered = render_templates({"a": "plain", "password": "other", "gone": None, "number": 5}, VALUES)
    assert {key: value.reveal() for key, value in rendered.items()} == {"a": b"plain"}


@needs("gatekeeper-upstream")
def test_template_sees_sealed_values_and_unrendered_templates() -> None:
    templates = {"url": "db://u:{{ .password }}@h", "copy": "{{ .url }}", "plain": "x"}
    rendered = {key: value.reveal() for key, value in render_templates(templates, VALUES).items()}
    assert rendered == {"url": b"db://u:s3cr3t@h", "copy": b"db://u:{{ .password }}@h", "plain": b"x"}


@needs("gatekeeper-upstream")
def test_faulty_template_is_named_and_its_values_are_not_shown() -> None:
    with pytest.raises(SecretFileError, match=r"`spec\.template\.data\.bad` ") as caught:
        render_templates({"bad": "{{ nosuchfunction .password }}"}, VALUES)
    assert "s3cr3t" not in str(caught.value)
