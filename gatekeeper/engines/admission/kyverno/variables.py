"""`{{ ... }}` in Kyverno policies: JMESPath over the request.

Source: https://kyverno.io/docs/policy-types/cluster-policy/variables/ and .../jmespath/.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import jmespath
import orjson
from jmespath import functions
from jmespath.exceptions import JMESPathError

from gatekeeper.engines.admission.kyverno.patterns import format_scalar, is_wildcard_match
from gatekeeper.errors import PolicyError

VARIABLE = re.compile(r"\{\{((?:[^{}]|\{[^{}]*\})*)\}\}")
# What a request holds; other roots come from a rule's `context`, which is not known here.
KNOWN_ROOTS = {"request", "element", "elementIndex", "@"}
ROOT_NAME = re.compile(r"^\s*([A-Za-z_]\w*)\b(?!\s*\()")
MAX_EXPRESSION_LENGTH = 2000
MAX_DEPTH = 5


class _KyvernoFunctions(functions.Functions):
    """The few of Kyverno's functions that need nothing but their arguments."""

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
        import re2

        try:
            return re2.search(pattern, format_scalar(value) or "") is not None
        except re2.error as error:
            raise ValueError(f"{pattern!r} is no regular expression of Go: {error}") from error

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
    """A value of a policy with its variables put in; a text that is one variable becomes what that holds.

    Raises:
        PolicyError: a variable cannot be resolved here.
    """
    if isinstance(value, dict):
        return {resolve_variables(key, context): resolve_variables(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_variables(item, context) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    # A variable within a variable is put in first.
    for _ in range(MAX_DEPTH):
        whole = VARIABLE.fullmatch(value.strip())
        if whole:
            return _evaluate_expression(whole.group(1), context)
        value, count = VARIABLE.subn(lambda found: _format_value(_evaluate_expression(found.group(1), context)), value)
        if not count:
            break
    if "{{" in value:
        raise PolicyError(f"the variable in `{value}` is written in a way that is not known here")
    return value


def _format_value(value: Any) -> str:
    text = format_scalar(value)
    return text if text is not None else orjson.dumps(value).decode()


def _evaluate_expression(expression: str, context: Mapping[str, Any]) -> Any:
    expression = expression.strip()
    root = ROOT_NAME.match(expression)
    if root and root.group(1) not in KNOWN_ROOTS:
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` is not known here; there is only `request`")
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise PolicyError(f"a variable of {len(expression)} letters is too long")
    try:
        value = jmespath.search(expression, context, JMESPATH_OPTIONS)
    except (JMESPathError, ValueError, RecursionError) as error:
        words = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` cannot be resolved: {words}") from error
    if value is None:
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` is not there; write `{{{{ {expression} || '' }}}}`")
    return value
