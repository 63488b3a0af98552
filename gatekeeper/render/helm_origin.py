"""Where the fields of what a chart rendered come from: the values that set them, or the template's line.

The chart is rendered once more with each template line's number as a comment behind it; a field's line in that output
tells the template's line, and the values named there are looked up in what the chart was rendered with.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, Gap, Place, at
from gatekeeper.protocols import Positions
from gatekeeper.render import helm_template
from gatekeeper.render.chart_uses import Use
from gatekeeper.render.helm_values import Written, in_file
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

MARK = re.compile(r"#gk:(\d+):(\d+)\s*$")
MARKABLE = re.compile(r"^\s*(?:- )*[\w./\"'$-]+:(?:\s.*)?$|^\s*- \S.*$")
# A key whose value starts on the next line of the output.
BELOW = re.compile(r"^(\s*(?:- )*[\w./\"'$-]+:)\s*(\{\{.*\bnindent\b.*)$")
# The dot by itself: what a `with` around it names.
DOT = re.compile(r"[{ (|]\.[ )}|]")
BLOCK = re.compile(r"\{\{-?\s*(if|with|range|define|block|end)\b([^}]*)\}\}")
VALUES = re.compile(r"\.Values((?:\.\w+)+)")


class Render:
    """A rendered chart, and enough to tell where a field comes from when somebody asks."""

    def __init__(self, tree: Tree, use: Use, kubernetes: str, timeout: float, sources: Mapping[str, Source]) -> None:
        self.tree = tree
        self.use = use
        self.kubernetes = kubernetes
        self.timeout = timeout
        self.sources = sources

    @cached_property
    def marked(self) -> tuple[list[str], dict[str, list[tuple[Positions, list[str]]]]]:
        """The templates' names, and by template its documents rendered again with each line's number as a comment."""
        with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
            copy = Path(scratch) / PurePosixPath(self.use.chart).name
            with helm_template.whole(self.tree, self.use.chart) as chart:
                shutil.copytree(chart, copy, symlinks=True)
            names = _mark_lines(copy)
            try:
                text = helm_template.template(self.tree, self.use, copy, self.kubernetes, self.timeout)
            except ToolError:
                return names, {}
        rendered: dict[str, list[tuple[Positions, list[str]]]] = {}
        for template, chunk in helm_template.chunks(text):
            found, failure = documents.parse(chunk.encode())
            if failure is None:
                rendered.setdefault(template, []).extend((document, chunk.splitlines()) for document in found)
        return names, rendered

    def values(self) -> Iterator[Written]:
        """Where values stand, those that win first."""
        yield from self.use.written
        for file in (*reversed(self.use.files), f"{self.use.chart}/values.yaml".lstrip("/")):
            source = self.sources.get(file)
            if source and source.documents:
                yield in_file(file, source.documents[0])


class Templated(NamedTuple):
    """A resource that a chart's template made."""

    file: str
    template: str
    json: bytes
    render: Render

    def place(self, path: FieldPath, key: bool = False) -> Place:
        """See `gatekeeper.protocols.Origin`: the values that set the field, else the template's line."""
        names, rendered = self.render.marked
        mine = orjson.loads(self.json)
        for document, lines in rendered.get(self.template, ()):
            theirs = documents.value_of(document)
            if all(at(theirs, same) == at(mine, same) for same in (("kind",), ("metadata", "name"))):
                return self._marked_place(path, at(mine, path), names, document, lines)
        return Place(self.file)

    def _marked_place(
        self, path: FieldPath, value: Any, names: list[str], document: Positions, lines: list[str]
    ) -> Place:
        for length in range(len(path), -1, -1):
            depth, line, _ = document.locate(path[:length], key=True)
            mark = MARK.search(lines[line - 1]) if depth == length else None
            if mark:
                template = f"{self.render.use.chart}/{names[int(mark.group(1))]}".lstrip("/")
                number = int(mark.group(2))
                return self._values_place(template, number, path[length:], value) or Place(template, number)
        return Place(self.file)

    def _values_place(self, template: str, number: int, rest: FieldPath, value: Any) -> Place | None:
        """The line of values that a template's line (and the pure actions below it) took this value from."""
        text = self.render.tree.read(template)
        if isinstance(text, Gap):
            return None
        above = text.decode("utf-8", "replace").splitlines()
        lines = above[number - 1 :]
        asked = [lines[0]]
        for line in lines[1:6]:
            if rest and line.strip().startswith("{{"):
                asked.append(line)
            else:
                break
        references = [found for line in asked for found in VALUES.findall(line)]
        if not references and any(DOT.search(line) for line in asked):
            references = VALUES.findall(_with_around(above[: number - 1]))
        for reference in references:
            steps: FieldPath = (*reference.strip(".").split("."), *rest)
            for written in self.render.values():
                held = at(written.value, steps)
                if held is not None:
                    same = held == value or (isinstance(value, str) and not rest and str(held) and str(held) in value)
                    if same:
                        return written.place(steps)
                    break
        return None


def _with_around(lines: list[str]) -> str:
    """The `with` that gives the dot its meaning after some lines; empty where none is open."""
    ended = 0
    for line in reversed(lines):
        for word, about in reversed(BLOCK.findall(line)):
            if word == "end":
                ended += 1
            elif ended:
                ended -= 1
            elif word == "with":
                return str(about)
    return ""


def _mark_lines(chart: Path) -> list[str]:
    """Writes its number behind each line of a template that becomes a line of YAML; returns the templates' names."""
    names: list[str] = []
    for file in sorted((chart / "templates").rglob("*")):
        if file.suffix not in (".yaml", ".yml", ".tpl") or not file.is_file():
            continue
        inside = False
        out = []
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            balanced = line.count("{{") == line.count("}}")
            markable = not inside and balanced and MARKABLE.match(line) and not line.rstrip().endswith("-}}")
            out.append(_marked(line, f" #gk:{len(names)}:{number}") if markable else line)
            inside = inside != (not balanced)
        names.append(file.relative_to(chart).as_posix())
        file.write_text("\n".join(out) + "\n", encoding="utf-8")
    return names


def _marked(line: str, mark: str) -> str:
    below = BELOW.match(line)
    return f"{below.group(1)}{mark}{below.group(2)}" if below else line + mark
