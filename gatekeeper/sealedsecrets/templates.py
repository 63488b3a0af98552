"""Rendering of `spec.template.data` of a SealedSecret: Go templates that use the unsealed values.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.errors import SecretFileError
from gatekeeper.gocompat.client import GoFault
from gatekeeper.secret_value import SecretBytes
from gatekeeper.upstream import expressions


def render_templates(templates: Mapping[str, Any], sealed_values: Mapping[str, SecretBytes]) -> dict[str, SecretBytes]:
    """Render the templates as the sealed-secrets controller does.

    Args:
        templates: the templates by key. A text without `{{` is used unchanged; a template of null removes its key.
        sealed_values: the unsealed values by key. Templates see them, and the unrendered text of the other templates.

    Raises:
        SecretFileError: a template has an error, or uses a function that the controller does not have.
        ToolError: the program that renders Go templates is missing.
    """
    texts = {key: text for key, text in templates.items() if isinstance(text, str)}
    own_texts = {key: text for key, text in texts.items() if key not in sealed_values}
    values = {key: SecretBytes(text.encode()) for key, text in own_texts.items() if "{{" not in text}
    to_render = {key: text for key, text in own_texts.items() if "{{" in text}
    if not to_render:
        return values
    variables = {**{key: SecretBytes(text.encode()) for key, text in texts.items()}, **sealed_values}
    answers = expressions.fill_sprig_templates(list(to_render.values()), variables)
    for key, answer in zip(to_render, answers, strict=True):
        if isinstance(answer, GoFault):
            raise SecretFileError(f"`spec.template.data.{key}` {answer.reason}")
        values[key] = answer
    return values
