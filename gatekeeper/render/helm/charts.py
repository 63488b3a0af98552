"""Renders charts with helm, and records which line of values or of a template set each field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.model import Finding, Gap, Location, Resource, build_ref
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.helm import chart_dependencies, cluster_functions, helm_template
from gatekeeper.render.helm.helm_origin import ChartRender, HelmOrigin
from gatekeeper.render.model import BuildOutput, ChartUse
from gatekeeper.upstream.helm import ChartFiles
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree


class ChartOutput(NamedTuple):
    """What a chart was rendered to: its templates, and the CRDs of its folder `crds`."""

    templates: BuildOutput
    crds: BuildOutput

    @property
    def complete(self) -> BuildOutput:
        """The CRDs and the templates, in the order in which helm prints them."""
        crds, templates = self.crds, self.templates
        return BuildOutput(
            crds.resources + templates.resources, crds.findings + templates.findings, crds.gaps + templates.gaps
        )


def build_chart(
    tree: Tree,
    use: ChartUse,
    files_by_path: Mapping[str, ParsedFile],
    config: Config,
    known_charts: MutableMapping[str, ChartFiles],
) -> ChartOutput:
    """Renders a use of a chart; where helm fails, returns a finding with its message, and a gap.

    Args:
        known_charts: the charts that were read for earlier uses, by folder; this one is added.
    """
    none = BuildOutput([], [], [])
    chart_file = f"{use.chart}/Chart.yaml".lstrip("/")
    if cycle := chart_dependencies.find_cycle(tree, use.chart):
        chain = " -> ".join(folder or "." for folder in cycle)
        reason = f"its dependencies form a cycle: {chain}; remove one of them from `dependencies`"
        return ChartOutput(BuildOutput([], [], [Gap(chart_file, reason, is_fatal=True)]), none)
    fetched = helm_template.find_missing_dependencies(tree, use.chart)
    if fetched:
        reason = f"depends on {', '.join(fetched)}, which is not fetched: run `helm dependency build`, commit `charts/`"
        return ChartOutput(BuildOutput([], [], [Gap(chart_file, reason, is_fatal=True)]), none)
    try:
        if use.chart not in known_charts:
            with helm_template.prepare_chart(tree, use.chart) as folder:
                known_charts[use.chart] = helm_template.read_chart(folder, tree.root)
        text = helm_template.run_helm_template(tree, use, known_charts[use.chart], config)
    except ToolError as error:
        values = f" with {', '.join(use.values_files)}" if use.values_files else ""
        finding = Finding(
            "render/helm",
            "error",
            f"{error}{values}",
            Location(chart_file, 1),
            hint="run `helm template` there and correct the error",
        )
        gap = Gap(chart_file, "helm could not render it, so its objects were not checked", is_fatal=True)
        return ChartOutput(BuildOutput([], [finding], [gap]), none)
    render = ChartRender(tree, use, config, files_by_path)
    output = ChartOutput(BuildOutput([], [], list(cluster_functions.find_cluster_calls(tree, use.chart))), none)
    _add_objects(output, render, text)
    return output


def _add_objects(output: ChartOutput, render: ChartRender, text: str) -> None:
    """Adds the objects that Helm printed, and findings for what is no YAML."""
    numbers = Counter[str]()
    for template, _, (parsed_documents, failure) in helm_template.parse_output(text):
        file = chart_dependencies.find_source(render.tree, render.use.chart, template).file
        part = output.crds if helm_template.is_crd_file(template) else output.templates
        if failure:
            part.findings.append(
                Finding(
                    "render/helm",
                    "error",
                    f"the output of the template is not valid YAML: {failure[0]}",
                    Location(file),
                )
            )
        for document in parsed_documents:
            value = documents.to_value(document)
            if documents.is_resource(value):
                origin = HelmOrigin(file, template, document.json, render, numbers[template])
                numbers[template] += 1
                part.resources.append(Resource(build_ref(value), document.json, origin))
