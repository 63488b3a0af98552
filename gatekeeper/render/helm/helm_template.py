"""Renders charts as `helm template` does, from a folder or a copy that includes dependencies from the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.model import Gap, get_field
from gatekeeper.render.model import ChartUse, join_path
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.helm import read_chart_files, render_release
from gatekeeper.upstream.helm_release import ChartFiles, HelmRelease, ValuesFile
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParseOutcome
from gatekeeper.workspace.tree import Tree

DOCUMENT_SEPARATOR = compile_lazily(r"^---\n", re.MULTILINE)
SOURCE_COMMENT = compile_lazily(r"# Source: ([^/\n]+)/(.+)$", re.MULTILINE)
# The files of the folder `crds` of a chart or of one of its dependencies, which are no templates.
CRD_FILE = compile_lazily(r"(?:charts/[^/]+/)*crds/")
MAX_NESTED_CHARTS, MAX_COPIED_CHARTS = 20, 500


def read_chart(folder: Path, root: Path) -> ChartFiles:
    """The files of a chart, from its folder or a copy of it.

    Args:
        root: the repository, out of which no link may lead.

    Raises:
        ToolError: they cannot be read.
    """
    try:
        return read_chart_files(folder, root)
    except OSError as error:
        raise ToolError(f"the chart cannot be read: {error.strerror}") from error


def run_helm_template(tree: Tree, use: ChartUse, chart: ChartFiles, config: Config) -> str:
    """The output of `helm template` for a use of a chart, with the CRDs of the chart.

    Args:
        config: has the Kubernetes version and the time limit.

    Raises:
        ToolError: Helm refused the chart (with its words), took too long, or cannot be run.
    """
    values = [_read_values_file(tree, file) for file in use.values_files]
    if use.inline_values:
        values.append(ValuesFile("-", use.inline_values))
    # The CRDs are always printed, before the templates, which do not depend on them: one run is enough for all users.
    release = HelmRelease(use.release, use.namespace, config.kubernetes, values, use.api_versions, flux=use.flux)
    try:
        return render_release(open_client(config.kubernetes), chart, release, config.timeout)
    except ToolError as error:
        raise ToolError(_shorten(" ".join(str(error).split()))) from error


def _shorten(message: str) -> str:
    """A message of Helm without its middle: templates that call each other. The cause is at its end."""
    return message if len(message) <= 600 else f"{message[:200]} ... {message[-395:]}"


def _read_values_file(tree: Tree, file: str) -> ValuesFile:
    try:
        return ValuesFile(file, read_regular_file(tree.root / file))
    except OSError as error:
        raise ToolError(f"open {file}: {(error.strerror or str(error)).lower()}") from error


def split_output(text: str) -> Iterator[tuple[str, str]]:
    """Splits helm's output: the path of each template or CRD below the chart, and the YAML that it rendered.

    Helm prints the files of CRDs as they are: documents after the first one follow the comment of their file.
    """
    chart, file = "", ""
    for chunk in DOCUMENT_SEPARATOR.split(text):
        named = SOURCE_COMMENT.match(chunk)
        # The comment of a CRD's author may look like one of helm's; those of helm begin with the name of the chart.
        if named and named.group(1) == (chart or named.group(1)):
            chart, file = named.groups()
        if file:
            yield file, chunk


def parse_output(text: str) -> Iterator[tuple[str, str, ParseOutcome]]:
    """Like `split_output`, with the documents of each template, all of which are parsed in one call."""
    chunks = list(split_output(text))
    outcomes = documents.parse_all([chunk.encode() for _, chunk in chunks], 1)
    for (template, chunk), outcome in zip(chunks, outcomes, strict=True):
        yield template, chunk, outcome


def is_crd_file(file: str) -> bool:
    """Whether a file, by its path below the chart, is printed by helm as a CRD, and is no template."""
    return CRD_FILE.match(file) is not None


@contextmanager
def prepare_chart(tree: Tree, chart: str) -> Iterator[Path]:
    """A chart's folder with all dependencies: the folder itself, or a copy with charts of this repository in it.

    Raises:
        ToolError: the dependencies cannot be copied, or there are too many.
    """
    here = tree.root / chart
    local = [entry for entry in _list_unvendored_dependencies(tree, chart) if entry[1] is not None]
    if not local:
        yield here
        return
    # It loads all libraries of compression, and few runs render charts.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        copy = Path(scratch) / (PurePosixPath(chart).name or "chart")
        try:
            copy_chart(tree.root, here, copy)
            _copy_dependencies(tree, chart, copy)
        except OSError as error:
            raise ToolError(f"its dependencies cannot be copied: {error.strerror or error}") from error
        yield copy


def copy_chart(root: Path, folder: Path, copy: Path) -> None:
    """Copies the folder of a chart, with the content of those links that lead to files of the repository."""
    # It loads all libraries of compression, and few runs copy charts.
    import shutil

    shutil.copytree(folder, copy, symlinks=True, dirs_exist_ok=True)
    for path in copy.rglob("*"):
        if path.is_symlink():
            target = (folder / path.relative_to(copy)).resolve()
            if target.is_file() and target.is_relative_to(root.resolve()):
                path.unlink()
                shutil.copyfile(target, path)


def _copy_dependencies(tree: Tree, chart: str, chart_copy: Path) -> None:
    """Copies the dependencies from folders of the repository, and theirs, into the copy of a chart.

    Raises:
        ToolError: there are too many; Helm would ignore those that are missing below the first level.
    """
    waiting = [(chart, chart_copy, 0)]
    count = 0
    while waiting:
        chart, chart_copy, depth = waiting.pop()
        for name, source in list_local_dependencies(tree, chart):
            count += 1
            if depth >= MAX_NESTED_CHARTS or count > MAX_COPIED_CHARTS:
                bounds = f"{MAX_NESTED_CHARTS} levels of `file://` dependencies, or {MAX_COPIED_CHARTS} of them"
                raise ToolError(f"the chart has more than {bounds}: commit packed ones in `charts/`")
            charts = chart_copy / "charts"
            if charts.is_symlink():
                # What is copied there would be written to where the link leads.
                raise ToolError(f"`{chart}/charts` is a symbolic link: make it a folder".replace("`/", "`"))
            copy_chart(tree.root, tree.root / source, charts / name)
            waiting.append((source, charts / name, depth + 1))


def find_missing_dependencies(tree: Tree, chart: str) -> list[str]:
    """The names of dependencies that are not in the repository: such a chart cannot be rendered."""
    missing: list[str] = []
    seen, waiting = {chart}, [chart]
    while waiting:
        for name, source in _list_unvendored_dependencies(tree, waiting.pop()):
            if source is None:
                missing.append(name)
            elif source not in seen:
                seen.add(source)
                waiting.append(source)
    return missing


def _list_unvendored_dependencies(tree: Tree, chart: str) -> Iterator[tuple[str, str | None]]:
    """Dependencies that are not in `charts/`: the name, and the folder in the repository, if there is one."""
    for entry in read_dependencies(tree, chart):
        name, repository = get_field(entry, ("name",)), get_field(entry, ("repository",))
        if not isinstance(name, str) or _is_vendored(tree, chart, name):
            continue
        path = repository.removeprefix("file://") if isinstance(repository, str) else ""
        local = join_path(chart, path) if path != repository and path else None
        is_here = (
            local is not None
            and _is_folder_name(name)
            and not local.startswith("..")
            and tree.is_file(f"{local}/Chart.yaml")
            and tree.find_real_path(local) is not None
        )
        yield name, local if is_here else None


def _is_folder_name(name: str) -> bool:
    """Whether a dependency can be in a folder of its name below `charts/`, and leads to no other place."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def list_local_dependencies(tree: Tree, chart: str) -> list[tuple[str, str]]:
    """The dependencies that a chart takes from folders of the repository: their names, and the folders."""
    return [(name, local) for name, local in _list_unvendored_dependencies(tree, chart) if local is not None]


def _is_vendored(tree: Tree, chart: str, name: str) -> bool:
    return _is_folder_name(name) and (tree.is_folder(f"{chart}/charts/{name}") or bool(find_archive(tree, chart, name)))


def find_archive(tree: Tree, chart: str, name: str) -> str | None:
    """The packed chart of a dependency in `charts/`; None if it is missing."""
    folder = join_path(chart, "charts")
    found: list[str] = []
    # Most charts have no such folder.
    with suppress(OSError):
        found = [path.name for path in (tree.root / folder).iterdir()]
    packed = sorted(file for file in found if file.startswith(f"{name}-") and file.endswith(".tgz"))
    return f"{folder}/{packed[0]}" if packed else None


def read_dependencies(tree: Tree, chart: str) -> Sequence[Any]:
    """The entries of `dependencies` of a chart."""
    for file in ("Chart.yaml", "requirements.yaml"):
        content = tree.read_file(f"{chart}/{file}".lstrip("/"))
        listed = None if isinstance(content, Gap) else _parse_dependencies(content)
        if listed is not None:
            return listed
    return ()


# Each use of a chart, and each template of it, needs the dependencies again.
@lru_cache(maxsize=256)
def _parse_dependencies(content: bytes) -> Sequence[Any] | None:
    """The field `dependencies` of a file; None if it is no list."""
    parsed_documents, failure = documents.parse(content)
    if failure is not None or not parsed_documents:
        return None
    listed = get_field(documents.to_value(parsed_documents[0]), ("dependencies",))
    return listed if isinstance(listed, list) else None
