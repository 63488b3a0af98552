"""The fast reader of common YAML (`rust/src/block_yaml.rs`) reads a text as the reader of all YAML does, or not at all."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gatekeeper._native import parse_yaml

# The fast reader leaves a text with a tab to the other. This comment moves all lines down by one.
TAB_COMMENT = b"#\t\n"
COMMON_KEYS = [*"abcdefgh", "name", "namespace", "kind", "apiVersion", "metadata", "spec", "a.b/c-d", '"a b"']
KEYS = [
    *"yn",
    "name",
    "namespace",
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "a.b/c-d",
    "0x1",
    "12",
    ".5",
    "no",
    "null",
]
KEYS += [
    '"q"',
    "'q'",
    '"a b"',
    "'it''s'",
    '"\\n"',
    "<<",
    "*",
    "? a",
    "- a",
    "key with blanks",
    "é",
    "-x",
    "a:b",
    "$x",
    '""',
]
COMMON_SCALARS = [
    "x",
    "nginx:1.2",
    "a b # c",
    "1",
    "0777",
    "'a: b'",
    '"\\n#"',
    "{name: x, b: [1, c]}",
    "[]",
    "${X}",
    "no",
]
SCALARS = [
    "x",
    "nginx:1.2",
    "a b",
    "1",
    "0777",
    "1.50",
    "yes",
    "null",
    "~",
    "-1",
    "-x",
    "--flag=1",
    "a #b",
    "a#b",
    "#c",
    "é",
    "...",
]
SCALARS += [
    '"a\\"b\\\\"',
    "'it''s'",
    '"a',
    '"\\/"',
    '"x" ',
    "'' # c",
    "a: b",
    "a:",
    ":a",
    "?",
    "-",
    "- a",
    "|",
    "|-",
    ">",
    "&a x",
    "*a",
    "!!str 1",
]
SCALARS += [
    "[]",
    "{}",
    '[a, 1, "b"]',
    "[a, ]",
    "[a b]",
    "{a: 1, b: {c: [d]}}",
    "{a: 1, a: 2}",
    "{a}",
    "{a: }",
    "[{a: b}, 'c']",
    "[a: b]",
]
SCALARS += [
    "[-c, --d=e, -]",
    '{name: x, "namespace": y}',
    "[a",
    "{a:1}",
    "${X}",
    "$(x)",
    "1e400",
    ".inf",
    "---",
    "<<",
    "=",
    "@a",
    "%a",
    "'a'b",
]
LITERALS = ["|+", "|2", ">", "| # c"]


class Text:
    """A random text: mostly what a manifest could be, with a few lines that do not fit."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []

    def choose(self, common: list[str], all_forms: list[str]) -> str:
        """One of the common forms, or sometimes any."""
        return self.random.choice(all_forms if self.random.random() < 0.1 else common)

    def build(self) -> bytes:
        """One or several documents."""
        for number in range(self.random.choice([1, 1, 1, 2, 3])):
            if number or self.random.random() < 0.3:
                self.lines.append(self.random.choice(["---", "---", "---", "--- ", "--- # c", "--- a"]))
            if self.random.random() < 0.9:
                self.add_block(self.random.choice([*[0] * 15, 2]), 0)
        for _ in range(self.random.choice([0, 0, 0, 0, 0, 1, 2])):
            self.spoil()
        return ("\n".join(self.lines) + self.random.choice(["\n", "\n", "\n", "", "\n\n", "\n  "])).encode()

    def add_block(self, indent: int, depth: int, start: str = "") -> None:
        """Adds a mapping or a list; its first line begins with `start`, in which its indentation is included."""
        is_list = self.random.random() < 0.4
        for number in range(self.random.choice([1, 1, 2, 3])):
            if self.random.random() < 0.1:
                self.lines.append(self.random.choice(["", "  ", "# c", f"{' ' * indent}# c", " " * 9 + "# c"]))
            lead = start if start and not number else " " * indent
            if is_list:
                gap = self.random.choice([" ", " ", " ", "   "])
                self.add_value(f"{lead}-{gap}", indent, indent + 1 + len(gap), depth)
            else:
                self.add_value(f"{lead}{self.choose(COMMON_KEYS, KEYS)}:", indent, 0, depth)

    def add_value(self, start: str, indent: int, inline: int, depth: int) -> None:
        """Adds the value of a key, or of an item, whose own content begins in the column `inline`."""
        choice = self.random.random()
        deeper = indent + self.random.choice([2, 2, 2, 2, 2, 1, 4, 0])
        if choice < 0.25 and depth < 4:
            self.lines.append(start.rstrip() + self.random.choice(["", "", " ", " # c"]))
            self.add_block(deeper, depth + 1)
        elif choice < 0.45 and inline and depth < 4:
            self.add_block(inline, depth + 1, start)
        elif choice < 0.6:
            self.lines.append(f"{start} {self.choose(['|', '|-'], LITERALS)}")
            for _ in range(self.random.choice([0, 1, 2, 3])):
                text = self.random.choice(["x", "a: b", '"q"\\', "# c", "", "  ", "- é", " more", "---"])
                self.lines.append(" " * self.random.choice([*[deeper] * 9, deeper + 1, 0]) + text)
        else:
            self.lines.append(f"{start} {self.choose(COMMON_SCALARS, SCALARS)}" if choice < 0.97 else start)
            if self.random.random() < 0.05:
                self.lines.append(f"{' ' * deeper}{self.choose(COMMON_SCALARS, SCALARS)}")

    def spoil(self) -> None:
        """Changes one character, or moves a line."""
        at = self.random.randrange(len(self.lines)) if self.lines else 0
        line = self.lines[at] if self.lines else ""
        place = self.random.randrange(len(line) + 1)
        letter = self.random.choice([*" :-#'\"[]{},|>&*!%@\\x", ""])
        self.lines[at : at + 1] = [line[:place] + letter + line[place + self.random.choice([0, 1]) :]]


def read(text: bytes, offset: int = 0) -> Any:
    """All that a reader returns of a text, except the reason of a failure; lines count from `offset`."""
    [(documents, failure)] = parse_yaml([text], 1)
    if failure is not None:
        return "failed"
    return [
        (
            document.json,
            (document.start[0] - offset, document.start[1]),
            document.head,
            [(key, line - offset, column, first - offset) for key, line, column, first in document.duplicates],
        )
        for document in documents
    ]


@pytest.mark.parametrize("start", range(0, 12_000, 2_000))
def test_both_readers_agree(start: int) -> None:
    for seed in range(start, start + 2_000):
        text = Text(seed).build()
        assert read(text) == read(TAB_COMMENT + text, offset=1), text.decode()


def test_most_texts_of_the_comparison_can_be_read() -> None:
    readable = sum(read(Text(seed).build()) != "failed" for seed in range(2_000))
    assert readable > 600
