"""Policies written in CEL, as ValidatingAdmissionPolicies and Gatekeeper's K8sNativeValidation have them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.errors import PolicyError
from gatekeeper.kube import cel

Bindings = Mapping[str, bytes]


class Validation(NamedTuple):
    """One expression that must be true, and what to say where it is not."""

    expression: str
    message: str
    message_expression: str


class Outcome(NamedTuple):
    """What a policy says of one object: messages, and what could not be evaluated."""

    messages: list[str]
    error: str


class Expressions:
    """One policy's variables, conditions and validations, compiled.

    Args:
        spec: what holds `variables`, `matchConditions` and `validations`.

    Raises:
        PolicyError: the specification is malformed, or an expression does not compile.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._variables = [(_text(one, "name"), _text(one, "expression")) for one in _list(spec, "variables")]
        self._conditions = [_text(one, "expression") for one in _list(spec, "matchConditions")]
        self.validations = [_validation(one) for one in _list(spec, "validations")]
        if not self.validations:
            raise PolicyError("there are no `validations`, so nothing could be refused")
        words = [one.message_expression or '""' for one in self.validations]
        steps = [
            *((name, text) for name, text in self._variables),
            *(("", text) for text in (*self._conditions, *(one.expression for one in self.validations), *words)),
        ]
        self._cel = cel.compiled(steps)

    def reads(self, variable: str) -> bool:
        """Whether any expression names a root variable."""
        words = [one.message_expression for one in self.validations]
        return re.search(rf"(?<![\w.]){variable}\b", "\n".join([self.text, *words])) is not None

    @property
    def text(self) -> str:
        """All expressions, for whoever looks for the fields that they read."""
        texts = [text for _, text in self._variables]
        return "\n".join([*texts, *self._conditions, *(one.expression for one in self.validations)])

    def judge(self, inputs: Sequence[Bindings], jobs: int) -> list[Outcome]:
        """What the policy says of each input: the root variables (`object`, `request`, ...), as JSON."""
        return [self._outcome(results) for results in self._cel.evaluate([list(one.items()) for one in inputs], jobs)]

    def _outcome(self, results: Sequence[tuple[str | None, str]]) -> Outcome:
        first, last = len(self._variables), len(self._variables) + len(self._conditions)
        for text, (value, error) in zip(self._conditions, results[first:last], strict=True):
            # A condition that is false decides, though another cannot be evaluated.
            if value == "false":
                return Outcome([], "")
            if value != "true":
                return Outcome([], f"the condition `{text}` came to {_line(error) or value}")
        count = len(self.validations)
        messages, errors = [], []
        for number, one in enumerate(self.validations):
            value, error = results[last + number]
            if value == "false":
                messages.append(_message(one, results[last + count + number][0]))
            elif value != "true":
                errors.append(f"`{_line(one.expression)}` came to {_line(error) or value}")
        return Outcome(messages, "; ".join(errors))


def _message(validation: Validation, told: str | None) -> str:
    """The message's expression counts where it gives one line of text; else the message, else the expression."""
    value = orjson.loads(told) if told else ""
    if isinstance(value, str) and value.strip() and "\n" not in value.strip():
        return value.strip()
    return validation.message or f"failed expression: {_line(validation.expression)}"


def _validation(value: Mapping[str, Any]) -> Validation:
    message, told = value.get("message") or "", value.get("messageExpression") or ""
    return Validation(_text(value, "expression"), str(message).strip(), str(told))


def _list(spec: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = spec.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyError(f"`{field}` must be a list of mappings")
    return value


def _text(value: Mapping[str, Any], field: str) -> str:
    if not isinstance(value.get(field), str):
        raise PolicyError(f"`{field}` must be a text")
    return str(value[field])


def _line(text: object) -> str:
    return " ".join(str(text).split())
