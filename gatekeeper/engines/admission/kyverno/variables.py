"""Resolves variables of Kyverno policies, `{{ ... }}`: JMESPath over the request.

Source: https://kyverno.io/docs/policy-types/cluster-policy/variables/ and .../jmespath/.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import jmespath
import orjson
import re2
from jmespath import functions
from jmespath.exceptions import JMESPathError

from gatekeeper.engines.admission.kyverno.patterns import format_scalar, is_wildcard_match
from gatekeeper.errors import PolicyError

VARIABLE = re.compile(r"\{\{((?:[^{}]|\{[^{}]*\})*)\}\}")
# The root variables of a request; others come from the `context` of a rule, which is not supported.
KNOWN_ROOTS = {"request", "element", "elementIndex", "@"}
ROOT_NAME = re.compile(r"^\s*([A-Za-z_]\w*)\b(?!\s*\()")
MAX_EXPRESSION_LENGTH = 2000
MAX_DEPTH = 5


class _KyvernoFunctions(functions.Functions):
    """Kyverno's functions that depend on nothing but their arguments."""

    @functions.signature({"types": ["string"]})
    def _func_to_upper(self, text: str) -> str:
        return text.upper()

    @functions.signature({"types": ["string"]})
    def _func_to_lower(self, text: str) -> str:
        return text.lower()

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_trim(self, text: str, letters: str) -> str:
        return text.strip(letters)

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_trim_prefix(self, text: str, prefix: str) -> str:
        return text.removeprefix(prefix)

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, mark: str) -> list[str]:
        return text.split(mark) if mark else list(text)

    @functions.signature({"types": ["string"]}, {"types": ["string", "number"]})
    def _func_regex_match(self, pattern: str, value: str | float) -> bool:
        try:
            return re2.search(pattern, format_scalar(value) or "") is not None
        except re2.error as error:
            raise ValueError(f"{pattern!r} is not a Go regular expression (RE2): {error}") from error

    @functions.signature({"types": ["string"]})
    def _func_base64_decode(self, text: str) -> str:
        return base64.b64decode(text, validate=True).decode()

    @functions.signature({"types": ["string"]})
    def _func_parse_json(self, text: str) -> Any:
        return orjson.loads(text)

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_equal_fold(self, left: str, right: str) -> bool:
        return left.casefold() == right.casefold()

    @functions.signature({"types": ["string"]}, {"types": ["string", "number"]})
    def _func_pattern_match(self, pattern: str, value: str | float) -> bool:
        return is_wildcard_match(pattern, format_scalar(value) or "")


JMESPATH_OPTIONS = jmespath.Options(custom_functions=_KyvernoFunctions())


def resolve_variables(value: Any, context: Mapping[str, Any]) -> Any:
    """Resolves the variables in a value of a policy; a text that is one variable becomes the value of the variable.

    Raises:
        PolicyError: a variable cannot be resolved.
    """
    if isinstance(value, dict):
        return {resolve_variables(key, context): resolve_variables(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_variables(item, context) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    # Each pass resolves the innermost variables.
    for _ in range(MAX_DEPTH):
        variable = VARIABLE.fullmatch(value.strip())
        if variable:
            return _evaluate_expression(variable.group(1), context)
        value, count = VARIABLE.subn(lambda part: _format_value(_evaluate_expression(part.group(1), context)), value)
        if not count:
            break
    if "{{" in value:
        raise PolicyError(f"the variable in `{value}` has an unsupported form")
    return value


def _format_value(value: Any) -> str:
    text = format_scalar(value)
    return text if text is not None else orjson.dumps(value).decode()


def _evaluate_expression(expression: str, context: Mapping[str, Any]) -> Any:
    expression = expression.strip()
    root = ROOT_NAME.match(expression)
    if root and root.group(1) not in KNOWN_ROOTS:
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` is not supported; use only `request`")
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise PolicyError(
            f"a variable of {len(expression)} characters is too long; the limit is {MAX_EXPRESSION_LENGTH}"
        )
    try:
        value = jmespath.search(expression, context, JMESPATH_OPTIONS)
    except (JMESPathError, ValueError, RecursionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` cannot be resolved: {reason}") from error
    if value is None:
        raise PolicyError(
            f"the variable `{{{{ {expression} }}}}` has no value; use `{{{{ {expression} || '' }}}}` for a default"
        )
    return value
