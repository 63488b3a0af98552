"""The origin of each field that a chart rendered: the value that set it, or the line of the template.

The chart is rendered once more with each template line's number as a comment behind it; a field's line in that output
gives the template's line, and the values named there are looked up in the values of the render.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, Gap, Location, ParsedDocument, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.helm import helm_template
from gatekeeper.render.helm.chart_dependencies import find_source
from gatekeeper.render.helm.helm_values import locate_file_values
from gatekeeper.render.model import ChartContent, ChartUse, LocatedValues
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree, list_files_below

LINE_MARK = compile_lazily(r"#gk:(\d+):(\d+)\s*$")
MARKABLE_LINE = compile_lazily(r"^\s*(?:- )*[\w./\"'$-]+:(?:\s.*)?$|^\s*- \S.*$")
# A key whose value starts on the next line of the output.
NINDENT_LINE = compile_lazily(r"^(\s*(?:- )*[\w./\"'$-]+:)\s*(\{\{.*\bnindent\b.*)$")
# The dot alone, which the enclosing `with` defines.
BARE_DOT = compile_lazily(r"[{ (|]\.[ )}|]")
BLOCK_ACTION = compile_lazily(r"\{\{-?\s*(if|with|range|define|block|end)\b([^}]*)\}\}")
VALUES_REFERENCE = compile_lazily(r"\.Values((?:\.\w+)+)")


class ChartRender:
    """A rendered chart, with what is needed to find the origin of a field when it is requested."""

    def __init__(
        self, tree: Tree, use: ChartUse, chart: ChartContent, config: Config, files_by_path: Mapping[str, ParsedFile]
    ) -> None:
        self.tree = tree
        self.use = use
        self.chart = chart
        self.config = config
        self.files_by_path = files_by_path

    @cached_property
    def marked_output(self) -> tuple[list[str], dict[str, list[tuple[ParsedDocument, list[str]]]]]:
        """The names of the templates, and their documents rendered again with each line's number as a comment."""
        # It loads all libraries of compression, and few runs render charts.
        import tempfile

        with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
            copy = Path(scratch) / (PurePosixPath(self.chart.folder).name or "chart")
            try:
                self.chart.unpack(copy)
            except ToolError:
                return [], {}
            names = _mark_lines(copy)
            try:
                text = helm_template.run_helm_template(
                    self.tree, self.use, helm_template.read_chart(copy, self.tree.root), self.config
                )
            except ToolError:
                return names, {}
        rendered: dict[str, list[tuple[ParsedDocument, list[str]]]] = {}
        for template, chunk, (parsed_documents, failure) in helm_template.parse_output(text):
            if failure is None:
                rendered.setdefault(template, []).extend(
                    (document, chunk.splitlines()) for document in parsed_documents
                )
        return names, rendered

    @cached_property
    def second_rendering(self) -> dict[str, list[Any]]:
        """The objects of each template, rendered once more without a change; empty where Helm fails."""
        try:
            text = helm_template.run_helm_template(self.tree, self.use, self.chart.files, self.config)
        except ToolError:
            return {}
        objects: dict[str, list[Any]] = {}
        for template, _, (parsed_documents, _) in helm_template.parse_output(text):
            values = map(documents.to_value, parsed_documents)
            objects.setdefault(template, []).extend(value for value in values if documents.is_resource(value))
        return objects

    def locate(self, file: str, line: int | None = None) -> Location:
        """The place that an author can edit: for a chart from elsewhere, the line that names it."""
        return Location(file, line) if self.use.fetched is None else self.use.fetched.location

    def list_values(self, template: str) -> Iterator[tuple[LocatedValues, tuple[str, ...]]]:
        """The locations of values, those with the highest precedence first, and the path of a template's own in each.

        Args:
            template: its path below the chart, as Helm names it; in dependencies, values of outer charts come first.
        """
        source = find_source(self.chart.tree, self.chart.folder, template)
        for values in self.use.located_values:
            yield values, source.names
        own_files = [*reversed(self.use.values_files)]
        if self.use.fetched is None:
            own_files.append(f"{self.use.chart}/values.yaml".lstrip("/"))
        below = source.list_value_paths() if self.use.fetched is None else ()
        for file, names in (*((file, source.names) for file in own_files), *below):
            parsed = self.files_by_path.get(file)
            if parsed and parsed.documents:
                yield locate_file_values(file, parsed.documents[0]), names


class HelmOrigin(NamedTuple):
    """The origin of a resource that a template rendered; `number` is its place among those of the template, from 0."""

    file: str
    template: str
    json: bytes
    chart_render: ChartRender
    number: int

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.protocols.Origin`: the values that set the field, else the template's line."""
        names, rendered = self.chart_render.marked_output
        own_value = orjson.loads(self.json)
        for document, lines in rendered.get(self.template, ()):
            theirs = documents.to_value(document)
            if all(get_field(theirs, same) == get_field(own_value, same) for same in (("kind",), ("metadata", "name"))):
                return self._locate_by_mark(path, get_field(own_value, path), names, document, lines)
        return self.chart_render.locate(self.file)

    def _locate_by_mark(
        self, path: FieldPath, value: Any, template_names: list[str], document: ParsedDocument, lines: list[str]
    ) -> Location:
        for length in range(len(path), -1, -1):
            depth, line, _ = document.locate(path[:length], key=True)
            mark = LINE_MARK.search(lines[line - 1]) if depth == length else None
            if mark:
                name, number = template_names[int(mark.group(1))], int(mark.group(2))
                chart = self.chart_render.chart
                template = find_source(chart.tree, chart.folder, name).file
                return self._locate_in_values(template, number, path[length:], value) or self.chart_render.locate(
                    template, number
                )
        return self.chart_render.locate(self.file)

    def _locate_in_values(self, template: str, line_number: int, rest_path: FieldPath, value: Any) -> Location | None:
        """The line of the values that a template's line (and the pure actions below it) took a value from."""
        text = self.chart_render.chart.tree.read_file(template)
        if isinstance(text, Gap):
            return None
        above = text.decode("utf-8", "replace").splitlines()
        lines = above[line_number - 1 :]
        asked = [lines[0]]
        for line in lines[1:6]:
            if rest_path and line.strip().startswith("{{"):
                asked.append(line)
            else:
                break
        references = [reference for line in asked for reference in VALUES_REFERENCE.findall(line)]
        if not references and any(BARE_DOT.search(line) for line in asked):
            references = VALUES_REFERENCE.findall(_find_enclosing_with(above[: line_number - 1]))
        for reference in references:
            own_steps: FieldPath = (*reference.strip(".").split("."), *rest_path)
            for written, names in self.chart_render.list_values(self.template):
                steps = own_steps if own_steps[0] == "global" else (*names, *own_steps)
                written_value = get_field(written.value, steps)
                if written_value is not None:
                    same = written_value == value or (
                        isinstance(value, str) and not rest_path and str(written_value) and str(written_value) in value
                    )
                    if same:
                        return written.find_location(steps)
                    break
        return None


def _find_enclosing_with(lines: list[str]) -> str:
    """The argument of the `with` that defines the dot after some lines; empty if no `with` is open."""
    ended = 0
    for line in reversed(lines):
        for word, about in reversed(BLOCK_ACTION.findall(line)):
            if word == "end":
                ended += 1
            elif ended:
                ended -= 1
            elif word == "with":
                return str(about)
    return ""


def _mark_lines(chart_path: Path) -> list[str]:
    """Appends its number to each line of a template that becomes a line of YAML; returns the names of the templates."""
    names: list[str] = []
    real_path = chart_path.resolve()
    folders = [chart_path / "templates", *sorted(chart_path.glob("charts/**/templates"))]
    for file in (file for folder in folders for file in list_files_below(folder, (".yaml", ".yml", ".tpl"))):
        if not file.resolve().is_relative_to(real_path):
            # A link leads out of the copy: to files of the repository, or of anybody.
            continue
        inside = False
        out = []
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            balanced = line.count("{{") == line.count("}}")
            markable = not inside and balanced and MARKABLE_LINE.match(line) and not line.rstrip().endswith("-}}")
            out.append(_append_mark(line, f" #gk:{len(names)}:{number}") if markable else line)
            inside = inside != (not balanced)
        names.append(file.relative_to(chart_path).as_posix())
        file.write_text("\n".join(out) + "\n", encoding="utf-8")
    return names


def _append_mark(line: str, mark: str) -> str:
    below = NINDENT_LINE.match(line)
    return f"{below.group(1)}{mark}{below.group(2)}" if below else line + mark
