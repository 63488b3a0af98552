"""Running `helm template`, offline: on a chart as it lies there, or on a copy with its neighbours as dependencies."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run
from gatekeeper.model import Gap, at
from gatekeeper.render.chart_uses import Use
from gatekeeper.render.origin import joined
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

SPLIT = re.compile(r"^---\n", re.MULTILINE)
SOURCE = re.compile(r"^# Source: ([^/\n]+)/(.+)$", re.MULTILINE)
MOST_NESTED = 4


def template(tree: Tree, use: Use, chart: Path, kubernetes: str, timeout: float) -> str:
    """What `helm template` prints for a use of a chart.

    Args:
        chart: the chart's folder, or a copy of it.

    Raises:
        ToolError: helm is missing, failed (with its words), or took too long.
    """
    command: list[str | Path] = [toolchain.find("helm"), "template", use.release, chart, "--namespace", use.namespace]
    command += ["--kube-version", kubernetes, "--skip-tests"]
    if use.crds:
        command.append("--include-crds")
    for file in use.files:
        command += ["--values", tree.root / file]
    if use.inline:
        command += ["--values", "-"]
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as home:
        state = {f"HELM_{name}_HOME": home for name in ("CACHE", "CONFIG", "DATA")}
        code, out, words = run(command, timeout, stdin=use.inline or None, environment=state)
    if code != 0:
        told = words.strip().removeprefix("Error: ").replace(f"{tree.root}/", "").replace(f"{chart}/", "")
        raise ToolError(" ".join(told.split())[:600])
    return out.decode("utf-8", "replace")


def chunks(text: str) -> Iterator[tuple[str, str]]:
    """The parts of helm's output: the template's path below the chart, and the YAML that it made."""
    for chunk in SPLIT.split(text):
        named = SOURCE.search(chunk)
        if named:
            yield named.group(2), chunk


@contextmanager
def whole(tree: Tree, chart: str) -> Iterator[Path]:
    """A chart's folder with all of its dependencies: itself, or a copy into which charts of this repository are put."""
    here = tree.root / chart
    local = [entry for entry in _absent(tree, chart) if entry[1] is not None]
    if not local:
        yield here
        return
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        copy = Path(scratch) / (PurePosixPath(chart).name or "chart")
        shutil.copytree(here, copy, symlinks=True)
        _complete(tree, chart, copy, MOST_NESTED)
        yield copy


def _complete(tree: Tree, chart: str, copy: Path, nested: int) -> None:
    for name, source in _absent(tree, chart):
        if source is not None and nested:
            shutil.copytree(tree.root / source, copy / "charts" / name, symlinks=True, dirs_exist_ok=True)
            _complete(tree, source, copy / "charts" / name, nested - 1)


def fetched(tree: Tree, chart: str) -> list[str]:
    """Dependencies that lie nowhere in the repository, as people name them: such a chart cannot be rendered."""
    missing = []
    for name, source in _absent(tree, chart):
        missing += [name] if source is None else fetched(tree, source) if source != chart else []
    return missing


def _absent(tree: Tree, chart: str) -> Iterator[tuple[str, str | None]]:
    """Dependencies that do not lie in `charts/`: the name, and the folder where the repository has it, if it has."""
    for entry in _dependencies(tree, chart):
        name, repository = at(entry, ("name",)), at(entry, ("repository",))
        if not isinstance(name, str) or _lies_there(tree.root / chart / "charts", name):
            continue
        path = repository.removeprefix("file://") if isinstance(repository, str) else ""
        local = joined(chart, path) if path != repository and path else None
        is_here = local is not None and not local.startswith("..") and (tree.root / local / "Chart.yaml").is_file()
        yield name, local if is_here else None


def _lies_there(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}-*.tgz"))


def _dependencies(tree: Tree, chart: str) -> list[Any]:
    for file in ("Chart.yaml", "requirements.yaml"):
        content = tree.read(f"{chart}/{file}".lstrip("/"))
        found, failure = documents.parse(content) if not isinstance(content, Gap) else ([], None)
        listed = at(documents.value_of(found[0]), ("dependencies",)) if found and failure is None else None
        if isinstance(listed, list):
            return listed
    return []
