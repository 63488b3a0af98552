"""CEL expressions of a Kustomization: whether an object is healthy, and whether a dependency is ready.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (health check expressions, dependency ready expression),
fluxcd/pkg `runtime/cel/status_evaluator.go`: `inProgress` is decided before `failed`, and `failed` before `current`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.apply.kstatus import CURRENT, KStatusResult
from gatekeeper.apply.order import group_of
from gatekeeper.errors import PolicyError, SpecError
from gatekeeper.kube import cel
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple

EXPRESSION_KEYS = ("inProgress", "failed", "current")


class HealthRule(NamedTuple):
    """The health expressions for objects of one group.

    Attributes:
        kind: empty for all kinds of the group.
        expressions: by `inProgress`, `failed` and `current`.
    """

    group: str
    kind: str
    expressions: Mapping[str, str]

    def is_for(self, api_version: str, kind: str) -> bool:
        """Whether the rule applies to a kind, in any version."""
        return self.group == group_of({"apiVersion": api_version}) and self.kind in ("", kind)


def parse_health_rule(fields: FieldReader) -> HealthRule:
    """One entry of `healthCheckExprs`.

    Raises:
        FieldError: a field is not valid.
        SpecError: an expression does not compile.
    """
    group, kind = group_of({"apiVersion": fields.read_string("apiVersion")}), fields.read_string("kind", "")
    expressions = {key: fields.read_string(key, "") for key in EXPRESSION_KEYS}
    if not expressions["current"]:
        fields.reject_field("current", "is missing")
    fields.reject_unknown()
    for expression in filter(None, expressions.values()):
        check_expression(expression)
    return HealthRule(group, kind, expressions)


def check_expression(expression: str) -> None:
    """Compiles an expression.

    Raises:
        SpecError: it does not compile.
    """
    try:
        cel.compile_expressions([("", expression)])
    except PolicyError as error:
        raise SpecError(str(error)) from None


def evaluate_health(value: Object, rule: HealthRule) -> KStatusResult:
    """The status of an object by the expressions of a rule; the variables are the fields of the object."""
    used = [(key, expression) for key in EXPRESSION_KEYS if (expression := rule.expressions.get(key))]
    variables = [(name, orjson.dumps(field)) for name, field in value.items()]
    [results] = cel.compile_expressions([("", expression) for _, expression in used]).evaluate([variables], 1)
    answers = dict(zip((key for key, _ in used), results, strict=True))
    if _is_true(answers, "inProgress"):
        return KStatusResult("InProgress", "`inProgress` is true")
    if _is_true(answers, "failed"):
        return KStatusResult("Failed", "`failed` is true")
    if _is_true(answers, "current"):
        return CURRENT
    # An error is not a failure: the object may not have the field yet.
    error = answers["current"][1]
    return KStatusResult(
        "InProgress", f"`current` cannot be evaluated: {error}" if error else "`current` is not true yet"
    )


def _is_true(answers: Mapping[str, tuple[str | None, str]], key: str) -> bool:
    return key in answers and answers[key][0] == "true"


def find_unready_reason(expression: str, kustomization: Any, dependency: Any) -> str:
    """Why a dependency is not ready by a `readyExpr`; empty if it is.

    Args:
        kustomization: the variable `self`.
        dependency: the variable `dep`.

    Raises:
        SpecError: the expression does not compile.
    """
    variables = [("self", orjson.dumps(kustomization)), ("dep", orjson.dumps(dependency))]
    try:
        [[(value, error)]] = cel.compile_expressions([("", expression)]).evaluate([variables], 1)
    except PolicyError as error:
        raise SpecError(f"`readyExpr`: {error}") from None
    return "" if value == "true" else f"`readyExpr` evaluates to {error or value}"
