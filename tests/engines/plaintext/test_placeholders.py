"""Placeholders are marked; what stands around them, and a default inside them, is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.engines.plaintext.placeholders import MARK, looks_generated, mark_placeholders
from tests.engines.plaintext.test_secrets import ENC


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("${USER}:x@${HOST}", "M:x@M"),
        ("{{ .user }}:x@{{ .host }}", "M:x@M"),
        ("${A}x\ny${B}", "Mx\nyM"),
        ("<user>:x@<host>", "M:x@M"),
        (f"{ENC} x]", "M x]"),
        ("ENC[AES256_GCM,hunter2]", "ENC[AES256_GCM,hunter2]"),
        ("${A:=hunter2}", "Mhunter2"),
        ("${A:-${B}hunter2}", "MMhunter2"),
        ("${A:0:5}", "M"),
        ("${A,,}", "M"),
        ("$A", "$A"),
        ('{{ .a | default "hunter2" | quote }}', "Mhunter2"),
        ("{{ 'hunter2' | b64enc }}", "Mhunter2"),
        ('{{ index .data "password" }}', "M"),
        ('{{ printf "%s" "9fKq2LmZ7xWv" }}', "M9fKq2LmZ7xWv"),
        ('{{ "{{" }} .password {{ "}}" }}', "M"),
        ("{{`{{ .password }}`}}", "M"),
        ("<your password>", "M"),
        ("<YOUR_API_KEY>", "M"),
        ("<base64-encoded token>", "M"),
        ("<yourPassword>", "M"),
        ("<xxxx>", "M"),
        ("<>", "M"),
        ("<path:kv/data/app#password>", "M"),
        ("<hunter2>", "<hunter2>"),
        ("<correcthorse>", "<correcthorse>"),
        ("<hunter2 password>", "<hunter2 password>"),
        ("<9fKq2LmZ7xWv>", "<9fKq2LmZ7xWv>"),
    ],
)
def test_only_placeholders_are_marked(text: str, left: str) -> None:
    assert mark_placeholders(text).replace(MARK, "M") == left


def test_with_the_annotation_of_argocd_vault_plugin_a_key_is_a_placeholder() -> None:
    assert mark_placeholders("<hunter2 | base64encode>", has_vault_path=True) == MARK


@settings(deadline=None)
@given(st.text("${}<>a:=-\"'`. ", max_size=30))
def test_any_text_can_be_marked(text: str) -> None:
    assert mark_placeholders(text).count("a") <= text.count("a")


@pytest.mark.parametrize("word", ["9fKq2LmZ7xWv", "a1B2c3D4e5", "3f2504e04f8911d3", "kJhGfDsAqWeRtY"])
def test_a_random_word_looks_generated(word: str) -> None:
    assert looks_generated(word)


@pytest.mark.parametrize(
    "word", ["hunter2", "v1alpha1", "configuration", "CamelCaseName", "server2024", "k8s", "1234567890"]
)
def test_a_name_does_not_look_generated(word: str) -> None:
    assert not looks_generated(word)
