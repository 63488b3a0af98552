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

CelBindings = Mapping[str, bytes]


class CelValidation(NamedTuple):
    """One expression that must be true, and what to say where it is not."""

    expression: str
    message: str
    message_expression: str


class CelResult(NamedTuple):
    """What a policy says of one object: messages, and what could not be evaluated."""

    messages: list[str]
    error: str


class CelPolicy:
    """One policy's variables, conditions and validations, compiled.

    Args:
        spec: what holds `variables`, `matchConditions` and `validations`.

    Raises:
        PolicyError: the specification is malformed, or an expression does not compile.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._variables = [
            (_read_text(one, "name"), _read_text(one, "expression")) for one in _read_list(spec, "variables")
        ]
        self._conditions = [_read_text(one, "expression") for one in _read_list(spec, "matchConditions")]
        self.validations = [_parse_validation(one) for one in _read_list(spec, "validations")]
        if not self.validations:
            raise PolicyError("there are no `validations`, so nothing could be refused")
        words = [one.message_expression or '""' for one in self.validations]
        steps = [
            *((name, text) for name, text in self._variables),
            *(("", text) for text in (*self._conditions, *(one.expression for one in self.validations), *words)),
        ]
        self._program = cel.compile_expressions(steps)

    def has_variable(self, variable: str) -> bool:
        """Whether any expression names a root variable."""
        words = [one.message_expression for one in self.validations]
        return re.search(rf"(?<![\w.]){variable}\b", "\n".join([self.text, *words])) is not None

    @property
    def text(self) -> str:
        """All expressions, for whoever looks for the fields that they read."""
        texts = [text for _, text in self._variables]
        return "\n".join([*texts, *self._conditions, *(one.expression for one in self.validations)])

    def evaluate(self, inputs: Sequence[CelBindings], jobs: int) -> list[CelResult]:
        """What the policy says of each input: the root variables (`object`, `request`, ...), as JSON."""
        return [
            self._build_result(results)
            for results in self._program.evaluate([list(one.items()) for one in inputs], jobs)
        ]

    def _build_result(self, results: Sequence[tuple[str | None, str]]) -> CelResult:
        first, last = len(self._variables), len(self._variables) + len(self._conditions)
        for text, (value, error) in zip(self._conditions, results[first:last], strict=True):
            # A condition that is false decides, though another cannot be evaluated.
            if value == "false":
                return CelResult([], "")
            if value != "true":
                return CelResult([], f"the condition `{text}` came to {_join_lines(error) or value}")
        count = len(self.validations)
        messages, errors = [], []
        for number, one in enumerate(self.validations):
            value, error = results[last + number]
            if value == "false":
                messages.append(_format_message(one, results[last + count + number][0]))
            elif value != "true":
                errors.append(f"`{_join_lines(one.expression)}` came to {_join_lines(error) or value}")
        return CelResult(messages, "; ".join(errors))


def _format_message(validation: CelValidation, message_json: str | None) -> str:
    """The message's expression counts where it gives one line of text; else the message, else the expression."""
    value = orjson.loads(message_json) if message_json else ""
    if isinstance(value, str) and value.strip() and "\n" not in value.strip():
        return value.strip()
    return validation.message or f"failed expression: {_join_lines(validation.expression)}"


def _parse_validation(value: Mapping[str, Any]) -> CelValidation:
    message, told = value.get("message") or "", value.get("messageExpression") or ""
    return CelValidation(_read_text(value, "expression"), str(message).strip(), str(told))


def _read_list(spec: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = spec.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyError(f"`{field}` must be a list of mappings")
    return value


def _read_text(value: Mapping[str, Any], field: str) -> str:
    if not isinstance(value.get(field), str):
        raise PolicyError(f"`{field}` must be a text")
    return str(value[field])


def _join_lines(text: object) -> str:
    return " ".join(str(text).split())
