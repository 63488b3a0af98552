"""Policies in CEL, as in ValidatingAdmissionPolicies and in OPA Gatekeeper's K8sNativeValidation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.engines.admission.policy_fields import read_mappings, read_text
from gatekeeper.errors import PolicyError
from gatekeeper.kube import cel

# The root variables (`object`, `request`, ...) as JSON.
CelBindings = Mapping[str, bytes]


class CelValidation(NamedTuple):
    """An expression that must be true, and the message, or its expression, for where it is false."""

    expression: str
    message: str
    message_expression: str


class CelResult(NamedTuple):
    """The result of a policy on one object: messages, and why an expression could not be evaluated."""

    messages: list[str]
    error: str


class CelPolicy:
    """The compiled variables, conditions and validations of a policy.

    Args:
        spec: the mapping with `variables`, `matchConditions` and `validations`.

    Raises:
        PolicyError: the specification is malformed, or an expression does not compile.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        variables = read_mappings(spec, "variables")
        self._variables = [(read_text(entry, "name"), read_text(entry, "expression")) for entry in variables]
        self._conditions = [read_text(entry, "expression") for entry in read_mappings(spec, "matchConditions")]
        self.validations = [_parse_validation(entry) for entry in read_mappings(spec, "validations")]
        if not self.validations:
            raise PolicyError("the policy has no `validations`, so it cannot refuse anything")
        expressions = [validation.expression for validation in self.validations]
        # Each message has an expression in the program, so that results are found by position.
        messages = [validation.message_expression or '""' for validation in self.validations]
        unnamed = [("", text) for text in (*self._conditions, *expressions, *messages)]
        self._program = cel.compile_expressions([*self._variables, *unnamed])

    def has_variable(self, variable: str) -> bool:
        """Whether any expression uses a root variable."""
        messages = [validation.message_expression for validation in self.validations]
        return re.search(rf"(?<![\w.]){variable}\b", "\n".join([self.text, *messages])) is not None

    @property
    def text(self) -> str:
        """All expressions that decide, for finding the fields that they read."""
        variables = [text for _, text in self._variables]
        return "\n".join([*variables, *self._conditions, *(validation.expression for validation in self.validations)])

    def evaluate(self, inputs: Sequence[CelBindings], jobs: int) -> list[CelResult]:
        """Evaluates the policy on each input, with a number of threads."""
        bindings = [list(entry.items()) for entry in inputs]
        return [self._build_result(results) for results in self._program.evaluate(bindings, jobs)]

    def _build_result(self, results: Sequence[tuple[str | None, str]]) -> CelResult:
        """Reads the results of the program, (value as JSON, error), in the order of its expressions."""
        first, last = len(self._variables), len(self._variables) + len(self._conditions)
        for text, (value, error) in zip(self._conditions, results[first:last], strict=True):
            # A condition that is false decides, even if another one cannot be evaluated.
            if value == "false":
                return CelResult([], "")
            if value != "true":
                return CelResult([], f"the condition `{text}` gave {_join_lines(error) or value}, not a boolean")
        count = len(self.validations)
        messages, errors = [], []
        for number, validation in enumerate(self.validations):
            value, error = results[last + number]
            if value == "false":
                messages.append(_format_message(validation, results[last + count + number][0]))
            elif value != "true":
                errors.append(f"`{_join_lines(validation.expression)}` gave {_join_lines(error) or value}")
        return CelResult(messages, "; ".join(errors))


def _format_message(validation: CelValidation, message_json: str | None) -> str:
    """Uses the result of the message expression if it is one line of text; else the message, else the expression."""
    value = orjson.loads(message_json) if message_json else ""
    if isinstance(value, str) and value.strip() and "\n" not in value.strip():
        return value.strip()
    return validation.message or f"failed expression: {_join_lines(validation.expression)}"


def _parse_validation(entry: Mapping[str, Any]) -> CelValidation:
    message, message_expression = entry.get("message") or "", entry.get("messageExpression") or ""
    return CelValidation(read_text(entry, "expression"), str(message).strip(), str(message_expression))


def _join_lines(text: object) -> str:
    return " ".join(str(text).split())
