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

from gatekeeper.engines.admission.kyverno.patterns import as_text, wildcard
from gatekeeper.errors import PolicyError

VARIABLE = re.compile(r"\{\{((?:[^{}]|\{[^{}]*\})*)\}\}")
# What a request holds; other roots come from a rule's `context`, which is not known here.
ROOTS = {"request", "element", "elementIndex", "@"}
ROOT = re.compile(r"^\s*([A-Za-z_]\w*)\b(?!\s*\()")
MOST_LETTERS = 2000
MOST_DEPTH = 5


class _Functions(functions.Functions):
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
            return re2.search(pattern, as_text(value) or "") is not None
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
        return wildcard(pattern, as_text(value) or "")


OPTIONS = jmespath.Options(custom_functions=_Functions())


def resolved(value: Any, context: Mapping[str, Any]) -> Any:
    """A value of a policy with its variables put in; a text that is one variable becomes what that holds.

    Raises:
        PolicyError: a variable cannot be resolved here.
    """
    if isinstance(value, dict):
        return {resolved(key, context): resolved(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, context) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    # A variable within a variable is put in first.
    for _ in range(MOST_DEPTH):
        whole = VARIABLE.fullmatch(value.strip())
        if whole:
            return _search(whole.group(1), context)
        value, count = VARIABLE.subn(lambda found: _as_words(_search(found.group(1), context)), value)
        if not count:
            break
    if "{{" in value:
        raise PolicyError(f"the variable in `{value}` is written in a way that is not known here")
    return value


def _as_words(value: Any) -> str:
    text = as_text(value)
    return text if text is not None else orjson.dumps(value).decode()


def _search(expression: str, context: Mapping[str, Any]) -> Any:
    expression = expression.strip()
    root = ROOT.match(expression)
    if root and root.group(1) not in ROOTS:
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` is not known here; there is only `request`")
    if len(expression) > MOST_LETTERS:
        raise PolicyError(f"a variable of {len(expression)} letters is too long")
    try:
        value = jmespath.search(expression, context, OPTIONS)
    except (JMESPathError, ValueError, RecursionError) as error:
        words = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` cannot be resolved: {words}") from error
    if value is None:
        raise PolicyError(f"the variable `{{{{ {expression} }}}}` is not there; write `{{{{ {expression} || '' }}}}`")
    return value
