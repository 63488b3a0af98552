"""Renders charts as `helm template` does, from a folder or a copy that includes dependencies from the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.model import Gap, get_field
from gatekeeper.render.model import ChartUse, join_path
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.helm import ChartFiles, HelmRelease, ValuesFile, read_chart_files, render_release
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

DOCUMENT_SEPARATOR = compile_lazily(r"^---\n", re.MULTILINE)
SOURCE_COMMENT = compile_lazily(r"# Source: ([^/\n]+)/(.+)$", re.MULTILINE)
# The files of the folder `crds` of a chart or of one of its dependencies, which are no templates.
CRD_FILE = compile_lazily(r"(?:charts/[^/]+/)*crds/")
MAX_NESTED_CHARTS = 4


def read_chart(folder: Path) -> ChartFiles:
    """The files of a chart, from its folder or a copy of it.

    Raises:
        ToolError: they cannot be read.
    """
    try:
        return read_chart_files(folder)
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
    release = HelmRelease(use.release, use.namespace, config.kubernetes, values)
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


def is_crd_file(file: str) -> bool:
    """Whether a file, by its path below the chart, is printed by helm as a CRD, and is no template."""
    return CRD_FILE.match(file) is not None


@contextmanager
def prepare_chart(tree: Tree, chart: str) -> Iterator[Path]:
    """A chart's folder with all dependencies: the folder itself, or a copy with charts of this repository in it."""
    here = tree.root / chart
    local = [entry for entry in _list_unvendored_dependencies(tree, chart) if entry[1] is not None]
    if not local:
        yield here
        return
    # It loads all libraries of compression, and few runs render charts.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        copy = Path(scratch) / (PurePosixPath(chart).name or "chart")
        copy_chart(tree.root, here, copy)
        _copy_dependencies(tree, chart, copy, MAX_NESTED_CHARTS)
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


def _copy_dependencies(tree: Tree, chart: str, chart_copy: Path, remaining_depth: int) -> None:
    for name, source in _list_unvendored_dependencies(tree, chart):
        if source is not None and remaining_depth:
            copy_chart(tree.root, tree.root / source, chart_copy / "charts" / name)
            _copy_dependencies(tree, source, chart_copy / "charts" / name, remaining_depth - 1)


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
        if not isinstance(name, str) or _is_vendored(tree.root / chart / "charts", name):
            continue
        path = repository.removeprefix("file://") if isinstance(repository, str) else ""
        local = join_path(chart, path) if path != repository and path else None
        is_here = local is not None and not local.startswith("..") and tree.is_file(f"{local}/Chart.yaml")
        yield name, local if is_here else None


def list_local_dependencies(tree: Tree, chart: str) -> list[tuple[str, str]]:
    """The dependencies that a chart takes from folders of the repository: their names, and the folders."""
    return [(name, local) for name, local in _list_unvendored_dependencies(tree, chart) if local is not None]


def _is_vendored(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}-*.tgz"))


def read_dependencies(tree: Tree, chart: str) -> list[Any]:
    """The entries of `dependencies` of a chart."""
    for file in ("Chart.yaml", "requirements.yaml"):
        content = tree.read_file(f"{chart}/{file}".lstrip("/"))
        parsed_documents, failure = documents.parse(content) if not isinstance(content, Gap) else ([], None)
        listed = (
            get_field(documents.to_value(parsed_documents[0]), ("dependencies",))
            if parsed_documents and failure is None
            else None
        )
        if isinstance(listed, list):
            return listed
    return []
