"""Dependencies of a chart that are in the repository: where their templates and values are written.

Helm names a template by the chart that was rendered (`charts/NAME/templates/…`, with the alias of the dependency),
though its file can be in a folder of its own (`file://`), or in an archive.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.helm.helm_template import find_archive, list_local_dependencies, read_dependencies
from gatekeeper.render.model import join_path
from gatekeeper.workspace.tree import Tree

CHARTS = "charts/"


class TemplateSource(NamedTuple):
    """Where a template is written.

    Attributes:
        file: its file, or the archive that has it.
        charts: the folder of each chart from the rendered one down to that of the template.
        names: the keys of the values of those charts below the first, from the outside in.
    """

    file: str
    charts: tuple[str, ...]
    names: tuple[str, ...]

    def list_value_paths(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The `values.yaml` of each dependency, outside in, with the path of the template's own values in it."""
        for depth, chart in enumerate(self.charts[1:], 1):
            yield join_path(chart, "values.yaml"), self.names[depth:]


def find_source(tree: Tree, chart: str, template: str) -> TemplateSource:
    """Where a template of a chart or of its dependencies is written.

    Args:
        template: its path below the chart, as Helm names it.
    """
    charts, names = [chart], list[str]()
    while template.startswith(CHARTS):
        name, _, rest = template.removeprefix(CHARTS).partition("/")
        real_name, local = _find_dependency(tree, charts[-1], name)
        vendored = join_path(charts[-1], f"charts/{real_name}")
        if tree.is_folder(vendored):
            folder = vendored
        elif local is not None:
            folder = local
        else:
            archive = find_archive(tree, charts[-1], real_name)
            return TemplateSource(archive or join_path(charts[-1], template), tuple(charts), tuple(names))
        charts.append(folder)
        names.append(name)
        template = rest
    return TemplateSource(join_path(charts[-1], template), tuple(charts), tuple(names))


def _find_dependency(tree: Tree, chart: str, name: str) -> tuple[str, str | None]:
    """The name of a dependency without its alias, and its folder if it is a `file://` dependency."""
    listed = read_dependencies(tree, chart)
    aliased = [entry for entry in listed if get_field(entry, ("alias",)) == name]
    real_name = str(get_field(aliased[0], ("name",))) if aliased else name
    return real_name, dict(list_local_dependencies(tree, chart)).get(real_name)


def list_used_charts(tree: Tree, chart: str) -> set[str]:
    """A chart with the folders of all its `file://` dependencies."""
    used, waiting = {chart}, [chart]
    while waiting:
        new = {local for _, local in list_local_dependencies(tree, waiting.pop())} - used
        used |= new
        waiting += new
    return used


def find_cycle(tree: Tree, chart: str) -> list[str]:
    """The folders of `file://` dependencies that lead back to the first one, which is also the last; or none."""
    graph = {
        used: [local for _, local in list_local_dependencies(tree, used)] for used in list_used_charts(tree, chart)
    }
    open_charts = set(graph)
    while leaves := {used for used in open_charts if open_charts.isdisjoint(graph[used])}:
        open_charts -= leaves
    if not open_charts:
        return []
    # Each of these has a dependency among them, and the chart leads to one of them.
    path = [chart]
    while path[-1] not in path[:-1]:
        path.append(next(local for local in graph[path[-1]] if local in open_charts))
    return path[path.index(path[-1]) :]
