"""The parts of a resource that a Rego package reads, as far as its text shows that it reads no others.

A rule gives the same result on a resource and on the parts of it that the rule reads. So these parts are enough to
trace a field, and resources in which they are equal have the same field. A text is understood only if each use of
`input` is a path with fixed first steps, and if nothing comes from other packages; otherwise the whole resource counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gatekeeper.engines.rego.field_changes import MAX_CHILDREN, list_read_paths
from gatekeeper.host.lazy_pattern import compile_lazily

# Keys to the reads below them; None where everything below is read.
ReadTree = dict[str, Any]

NAME_PLACEHOLDER = "gk-name-of-resource"
# Source: https://www.openpolicyagent.org/docs/policy-reference#grammar. Strings and comments come first: they
# contain no references. `$"` begins a string with references in it.
TOKEN = compile_lazily(
    r"""(?P<interpolation>\$["`])
      | (?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<comment>\#[^\n]*)
      | (?<![\w.])import\s+(?P<imported>[\w.]+)
      | (?<![\w.])input\b(?P<steps>(?:\.[A-Za-z_]\w*|\["[^"\\\n]*"\])*)(?P<next>[.\[]?)
      | (?<![\w.])(?P<other>data|with)\b""",
    re.VERBOSE,
)
STEP = compile_lazily(r"\.(\w+)|\[\"([^\"]*)\"\]")
HARMLESS_IMPORT = compile_lazily(r"rego\.v1|future\.keywords(\.\w+)?")
# `msg := sprintf("text %s", [...])`, with plain verbs and without nested lists.
MESSAGE = compile_lazily(
    r'\bmsg\s*:?=\s*sprintf\(\s*"(?:[^"\\%\n]|%[sv]|%%)*"\s*,\s*\[(?P<values>[^\[\]\n]*)\]\s*\)\s*(?=[\n;}])'
)
MESSAGE_HEAD = compile_lazily(
    r'^\w+(?:\s+contains\s+(?:msg|\{"msg":\s*msg\})\s+if\b|\[(?:msg|\{"msg":\s*msg\})\]\s*\{)', re.M
)
# Names that are written in a text as they are.
PLAIN_NAME = compile_lazily(r"[a-z0-9.-]+")
NAME_VALUE = compile_lazily(r"(?:^|,)\s*input\.metadata\.name\s*(?=,|$)")


class InputReads:
    """What the modules of one package read of `input`.

    Attributes:
        tree: the reads by key.
    """

    def __init__(self, tree: ReadTree, texts: str) -> None:
        self.tree = tree
        self._texts = texts
        self._mentions_name_only = _mentions_name_only(texts)

    def select(self, value: Any) -> Any:
        """The parts of a resource that are read. The result of the rules on them is that on the resource."""
        return _select_parts(value, self.tree)

    def replace_name(self, value: Any) -> tuple[Any, str]:
        """Replaces the name of the resource by NAME_PLACEHOLDER, if the rules only write it into their messages.

        Args:
            value: what `select` returned.

        Returns:
            The value, and the name that it had, which the messages have, too; empty if the value is unchanged.
        """
        metadata = value.get("metadata") if isinstance(value, dict) else None
        if not self._mentions_name_only or not isinstance(metadata, dict):
            return value, ""
        name = metadata.get("name")
        if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name) or name in self._texts:
            return value, ""
        others = {**value, "metadata": {key: item for key, item in metadata.items() if key != "name"}}
        # Another value with the same text could be compared with the name, or be a part of the message.
        if name in str(others):
            return value, ""
        return {**value, "metadata": {**metadata, "name": NAME_PLACEHOLDER}}, name


def find_input_reads(texts: Iterable[str]) -> InputReads | None:
    """Finds what the modules of a package read; None if they may read more than their text shows."""
    tree: ReadTree = {}
    whole = "\n".join(texts)
    for token in TOKEN.finditer(whole):
        imported = token["imported"]
        if token["interpolation"] or token["other"] or (imported and not HARMLESS_IMPORT.fullmatch(imported)):
            return None
        if token["steps"] is not None:
            path = [name or quoted for name, quoted in STEP.findall(token["steps"])]
            if not path:
                return None
            _add_path(tree, path)
    # The tracer also looks for these paths in the resource, those in comments, too.
    for read in list_read_paths(whole):
        steps = [str(step) for step in read[: next((n for n, step in enumerate(read) if step == 0), len(read))]]
        if not steps or any(isinstance(step, int) and step for step in read):
            return None
        _add_path(tree, steps)
    return InputReads(tree, whole)


def _add_path(tree: ReadTree, path: list[str]) -> None:
    for step in path[:-1]:
        inner = tree.setdefault(step, {})
        if inner is None:
            return
        tree = inner
    tree[path[-1]] = None


def _select_parts(value: Any, tree: ReadTree) -> Any:
    """The parts of a value; a mapping with too many entries stays whole, as the tracer tries only the first ones."""
    if not isinstance(value, dict) or len(value) > MAX_CHILDREN:
        return value
    return {
        key: item if (inner := tree[key]) is None else _select_parts(item, inner)
        for key, item in value.items()
        if key in tree
    }


def _mentions_name_only(text: str) -> bool:
    """Whether the modules read the name of the resource only to write it into messages that they do not read."""
    steps = [token["steps"] or "" for token in TOKEN.finditer(text)]
    if any(each == ".metadata" or '["metadata"]' in each or '["name"]' in each for each in steps):
        return False
    values = [match["values"] for match in MESSAGE.finditer(text)]
    written_names = sum(len(NAME_VALUE.findall(each)) for each in values)
    # The variable `msg` in the heads of rules, and the key `"msg"` wherever it is.
    heads = sum(len(re.findall(r'(?<!")\bmsg\b', match.group())) for match in MESSAGE_HEAD.finditer(text))
    are_messages_unread = len(re.findall(r"\bmsg\b", text)) == heads + text.count('"msg"') + len(values)
    return 0 < written_names == len(re.findall(r"\binput\.metadata\.name\b", text)) and are_messages_unread
