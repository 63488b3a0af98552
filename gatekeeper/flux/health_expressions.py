"""Expressions of a Kustomization about objects: whether one is as it shall be, whether a dependency is ready.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (health check expressions, dependency ready expression),
fluxcd/pkg `runtime/cel/status_evaluator.go`: in progress counts before failed, and failed before current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply.kstatus import CURRENT, Health
from gatekeeper.apply.order import Object, group_of
from gatekeeper.errors import PolicyError, SealError
from gatekeeper.kube import cel
from gatekeeper.kube.decoder import Fields

WORDS = ("inProgress", "failed", "current")


class Rule(NamedTuple):
    """How objects of a group are told to be as they shall be; of one kind of it, or of all.

    Attributes:
        texts: the expressions, by `inProgress`, `failed` and `current`.
    """

    group: str
    kind: str
    texts: Mapping[str, str]

    def is_for(self, api_version: str, kind: str) -> bool:
        """Whether it is about a kind, in whatever version."""
        return self.group == group_of({"apiVersion": api_version}) and self.kind in ("", kind)


def read(fields: Fields) -> Rule:
    """One of `healthCheckExprs`.

    Raises:
        FieldError: it is not valid.
        SealError: an expression does not compile.
    """
    group, kind = group_of({"apiVersion": fields.text("apiVersion")}), fields.text("kind", "")
    texts = {word: fields.text(word, "") for word in WORDS}
    if not texts["current"]:
        fields.refuse("current", "is missing")
    fields.end()
    for text in filter(None, texts.values()):
        check(text)
    return Rule(group, kind, texts)


def check(text: str) -> None:
    """Returns where an expression compiles.

    Raises:
        SealError: it does not.
    """
    try:
        cel.compiled([("", text)])
    except PolicyError as error:
        raise SealError(str(error)) from None


def health_of(value: Object, rule: Rule) -> Health:
    """What an object is, by the expressions about it: its fields are their variables."""
    named = [(word, text) for word in WORDS if (text := rule.texts.get(word))]
    variables = [(name, orjson.dumps(held)) for name, held in value.items()]
    [answers] = cel.compiled([("", text) for _, text in named]).evaluate([variables], 1)
    said = dict(zip((word for word, _ in named), answers, strict=True))
    if _is_true(said, "inProgress"):
        return Health("InProgress", "`inProgress` says so")
    if _is_true(said, "failed"):
        return Health("Failed", "`failed` says so")
    if _is_true(said, "current"):
        return CURRENT
    # A field that is read may not be there yet.
    reason = said["current"][1]
    return Health("InProgress", f"`current` cannot be told: {reason}" if reason else "`current` does not say so yet")


def _is_true(said: Mapping[str, tuple[str | None, str]], word: str) -> bool:
    return word in said and said[word][0] == "true"


def unready(text: str, own: Any, other: Any) -> str:
    """Why a dependency is not ready, by the expression about it and about who depends; empty where it is.

    Raises:
        SealError: it does not compile.
    """
    try:
        [[(value, error)]] = cel.compiled([("", text)]).evaluate(
            [[("self", orjson.dumps(own)), ("dep", orjson.dumps(other))]], 1
        )
    except PolicyError as error:
        raise SealError(f"`readyExpr`: {error}") from None
    if value == "true":
        return ""
    return f"`readyExpr` came to {error or value}"
