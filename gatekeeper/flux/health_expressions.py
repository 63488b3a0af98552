"""Expressions of a Kustomization about objects: whether one is as it shall be, whether a dependency is ready.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (health check expressions, dependency ready expression),
fluxcd/pkg `runtime/cel/status_evaluator.go`: in progress counts before failed, and failed before current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply.kstatus import CURRENT, KStatusResult
from gatekeeper.apply.order import Object, group_of
from gatekeeper.errors import PolicyError, SpecError
from gatekeeper.kube import cel
from gatekeeper.kube.decoder import FieldReader

EXPRESSION_KEYS = ("inProgress", "failed", "current")


class HealthRule(NamedTuple):
    """How objects of a group are told to be as they shall be; of one kind of it, or of all.

    Attributes:
        expressions: the expressions, by `inProgress`, `failed` and `current`.
    """

    group: str
    kind: str
    expressions: Mapping[str, str]

    def is_for(self, api_version: str, kind: str) -> bool:
        """Whether it is about a kind, in whatever version."""
        return self.group == group_of({"apiVersion": api_version}) and self.kind in ("", kind)


def parse_health_rule(fields: FieldReader) -> HealthRule:
    """One of `healthCheckExprs`.

    Raises:
        FieldError: it is not valid.
        SpecError: an expression does not compile.
    """
    group, kind = group_of({"apiVersion": fields.read_string("apiVersion")}), fields.read_string("kind", "")
    texts = {word: fields.read_string(word, "") for word in EXPRESSION_KEYS}
    if not texts["current"]:
        fields.reject_field("current", "is missing")
    fields.reject_unknown()
    for text in filter(None, texts.values()):
        check_expression(text)
    return HealthRule(group, kind, texts)


def check_expression(expression: str) -> None:
    """Returns where an expression compiles.

    Raises:
        SpecError: it does not.
    """
    try:
        cel.compile_expressions([("", expression)])
    except PolicyError as error:
        raise SpecError(str(error)) from None


def evaluate_health(value: Object, rule: HealthRule) -> KStatusResult:
    """What an object is, by the expressions about it: its fields are their variables."""
    named = [(word, text) for word in EXPRESSION_KEYS if (text := rule.expressions.get(word))]
    variables = [(name, orjson.dumps(held)) for name, held in value.items()]
    [answers] = cel.compile_expressions([("", text) for _, text in named]).evaluate([variables], 1)
    said = dict(zip((word for word, _ in named), answers, strict=True))
    if _is_true(said, "inProgress"):
        return KStatusResult("InProgress", "`inProgress` says so")
    if _is_true(said, "failed"):
        return KStatusResult("Failed", "`failed` says so")
    if _is_true(said, "current"):
        return CURRENT
    # A field that is read may not be there yet.
    reason = said["current"][1]
    return KStatusResult(
        "InProgress", f"`current` cannot be told: {reason}" if reason else "`current` does not say so yet"
    )


def _is_true(answers: Mapping[str, tuple[str | None, str]], key: str) -> bool:
    return key in answers and answers[key][0] == "true"


def find_unready_reason(expression: str, kustomization: Any, dependency: Any) -> str:
    """Why a dependency is not ready, by the expression about it and about who depends; empty where it is.

    Raises:
        SpecError: it does not compile.
    """
    try:
        [[(value, error)]] = cel.compile_expressions([("", expression)]).evaluate(
            [[("self", orjson.dumps(kustomization)), ("dep", orjson.dumps(dependency))]], 1
        )
    except PolicyError as error:
        raise SpecError(f"`readyExpr`: {error}") from None
    if value == "true":
        return ""
    return f"`readyExpr` came to {error or value}"
