"""What the real helm renders from a chart, and which line of values or of a template set each field."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from gatekeeper import documents, tools
from gatekeeper.documents import Source
from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, Finding, Gap, Place, Resource, at
from gatekeeper.process import run
from gatekeeper.render.charts import Use
from gatekeeper.render.plain import ref_of
from gatekeeper.roles import Positions
from gatekeeper.sources import Tree

SPLIT = re.compile(r"^---\n", re.MULTILINE)
SOURCE = re.compile(r"^# Source: ([^/\n]+)/(.+)$", re.MULTILINE)
MARK = re.compile(r"#gk:(\d+):(\d+)\s*$")
MARKABLE = re.compile(r"^\s*(?:- )*[\w./\"'$-]+:(?:\s.*)?$|^\s*- \S.*$")
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
            shutil.copytree(self.tree.root / self.use.chart, copy, symlinks=True)
            names = _mark_lines(copy)
            try:
                text = _template(self.tree, self.use, copy, self.kubernetes, self.timeout)
            except ToolError:
                return names, {}
        rendered: dict[str, list[tuple[Positions, list[str]]]] = {}
        for template, chunk in _chunks(text):
            found, failure = documents.parse(chunk.encode())
            if failure is None:
                rendered.setdefault(template, []).extend((document, chunk.splitlines()) for document in found)
        return names, rendered

    def values(self) -> Iterator[tuple[str, Positions, FieldPath]]:
        """Documents of values, the one that wins first: file, document, and the path to the values in it."""
        if self.use.inline_at:
            yield self.use.inline_at
        for file in (*reversed(self.use.files), f"{self.use.chart}/values.yaml".lstrip("/")):
            source = self.sources.get(file)
            if source and source.documents:
                yield file, source.documents[0], ()


class Templated(NamedTuple):
    """A resource that a chart's template made."""

    file: str
    template: str
    json: bytes
    render: Render

    def place(self, path: FieldPath, key: bool = False) -> Place:
        """See `gatekeeper.roles.Origin`: the values that set the field, else the template's line."""
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
        lines = text.decode("utf-8", "replace").splitlines()[number - 1 :]
        asked = [lines[0]]
        for line in lines[1:6]:
            if rest and line.strip().startswith("{{"):
                asked.append(line)
            else:
                break
        references = [found for line in asked for found in VALUES.findall(line)]
        for reference in references:
            steps: FieldPath = (*reference.strip(".").split("."), *rest)
            for file, document, prefix in self.render.values():
                depth, line_number, column = document.locate((*prefix, *steps))
                held = at(documents.value_of(document), (*prefix, *steps))
                if depth == len(prefix) + len(steps):
                    same = held == value or (isinstance(value, str) and not rest and str(held) and str(held) in value)
                    if same:
                        return Place(file, line_number, column)
                    break
        return None


def build(
    tree: Tree, use: Use, sources: Mapping[str, Source], kubernetes: str, timeout: float
) -> tuple[list[Resource], list[Finding], list[Gap]]:
    """What helm renders; where it cannot, a finding with its words, and a gap."""
    chart_file = f"{use.chart}/Chart.yaml".lstrip("/")
    try:
        text = _template(tree, use, tree.root / use.chart, kubernetes, timeout)
    except ToolError as error:
        values = f" with {', '.join(use.files)}" if use.files else ""
        finding = Finding(
            "render/helm", "error", f"{error}{values}", Place(chart_file, 1), hint="run `helm template` there"
        )
        return [], [finding], [Gap(chart_file, "helm could not render it, so nothing of it was judged", fatal=True)]
    render = Render(tree, use, kubernetes, timeout, sources)
    resources: list[Resource] = []
    findings: list[Finding] = []
    for template, chunk in _chunks(text):
        file = f"{use.chart}/{template}".lstrip("/")
        found, failure = documents.parse(chunk.encode())
        if failure:
            findings.append(
                Finding("render/helm", "error", f"the template renders to no YAML: {failure[0]}", Place(file))
            )
        for document in found:
            value = documents.value_of(document)
            if documents.is_resource(value):
                origin = Templated(file, template, document.json, render)
                resources.append(Resource(ref_of(value), document.json, origin))
    return resources, findings, []


def _template(tree: Tree, use: Use, chart: Path, kubernetes: str, timeout: float) -> str:
    command: list[str | Path] = [tools.find("helm"), "template", use.release, chart, "--namespace", use.namespace]
    command += ["--kube-version", kubernetes, "--skip-tests"]
    for file in use.files:
        command += ["--values", tree.root / file]
    if use.inline:
        command += ["--values", "-"]
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as home:
        state = {f"HELM_{name}_HOME": home for name in ("CACHE", "CONFIG", "DATA")}
        code, out, words = run(command, timeout, stdin=use.inline or None, environment=state)
    if code != 0:
        told = words.strip().removeprefix("Error: ").replace(f"{tree.root}/", "")
        raise ToolError(" ".join(told.split())[:600])
    return out.decode("utf-8", "replace")


def _chunks(text: str) -> Iterator[tuple[str, str]]:
    """The parts of helm's output: the template's path below the chart, and the YAML that it made."""
    for chunk in SPLIT.split(text):
        named = SOURCE.search(chunk)
        if named:
            yield named.group(2), chunk


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
            out.append(f"{line} #gk:{len(names)}:{number}" if markable else line)
            inside = inside != (not balanced)
        names.append(file.relative_to(chart).as_posix())
        file.write_text("\n".join(out) + "\n", encoding="utf-8")
    return names
