"""`spec.template.data` of a SealedSecret: Go templates that the sealed values are put into.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.errors import SealError
from gatekeeper.gocompat import client
from gatekeeper.secret_value import SecretBytes


def render_templates(templates: Mapping[str, Any], sealed_values: Mapping[str, SecretBytes]) -> dict[str, SecretBytes]:
    """The values that templates make, as the controller makes them.

    Args:
        templates: by key; what has no `{{` is taken as it is, and null takes a key away.
        sealed_values: the sealed values. Templates see them, and what other templates say before they are filled.

    Raises:
        SealError: a template is faulty, or names what the controller does not have.
        ToolError: the program that fills them is not there.
    """
    texts = {key: text for key, text in templates.items() if isinstance(text, str)}
    made = {key: text for key, text in texts.items() if key not in sealed_values}
    found = {key: SecretBytes(text.encode()) for key, text in made.items() if "{{" not in text}
    waiting = {key: text for key, text in made.items() if "{{" in text}
    if not waiting:
        return found
    seen = {**{key: SecretBytes(text.encode()) for key, text in texts.items()}, **sealed_values}
    reply = client.send_request("sealed-secrets", seen, list(waiting.values()))
    for key, answer in zip(waiting, reply.templates, strict=True):
        if isinstance(answer, client.GoFault):
            raise SealError(f"`spec.template.data.{key}` {answer.reason}")
        found[key] = answer
    return found
