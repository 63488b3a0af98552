"""Values that Helm makes at random: new with each rendering, and so in no file of the repository."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from gatekeeper.engines.plaintext import value_kinds
from gatekeeper.engines.plaintext.placeholders import MARK
from gatekeeper.host.lazy_pattern import compile_lazily

PEM_BLOCK = compile_lazily(r"-----BEGIN ([^-]+)-----.*?-----END \1-----", re.DOTALL)
TOKEN = compile_lazily(r"\w+|\W")
# A constant password beside a random part.
ASSIGNMENT = compile_lazily(r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key)[\"']?\s*[:=]\s*[\"']?([^\s\"',;&]+)")
# Longer texts are compared by their common beginning and end.
MAX_TOKENS = 2000


def is_random(first: str, second: str) -> bool:
    """Whether a value is no secret of the repository: two renderings differ, and what they share is no secret."""
    if first == second:
        return False
    constant = _mark_differences(first, second)
    if value_kinds.has_credentials(constant) or value_kinds.has_generated_part(constant):
        return False
    return not any(set(text) - {MARK} for text in ASSIGNMENT.findall(constant))


def _mark_differences(first: str, second: str) -> str:
    """The text that two values share, with `MARK` for the parts that differ."""
    left, right = TOKEN.findall(_mark_keys(first, second)), TOKEN.findall(_mark_keys(second, first))
    if len(left) == len(right):
        return "".join(one if one == other else MARK for one, other in zip(left, right, strict=True))
    if max(len(left), len(right)) > MAX_TOKENS:
        return "".join(_list_shared(left, right)) + MARK + "".join(_list_shared(left[::-1], right[::-1])[::-1])
    # Few values are compared.
    from difflib import SequenceMatcher

    matches = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return MARK.join("".join(left[match.a : match.a + match.size]) for match in matches)


def _mark_keys(text: str, other: str) -> str:
    """The text with `MARK` for each block in PEM that the other text does not have."""
    blocks = (block for block in PEM_BLOCK.finditer(text) if block[0] not in other)
    for block in list(blocks):
        text = text.replace(block[0], MARK)
    return text


def _list_shared(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The tokens that both begin with."""
    return [one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))]
