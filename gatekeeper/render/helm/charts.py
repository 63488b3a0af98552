"""Renders charts with helm, and records which line of values or of a template set each field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.model import Finding, Gap, Location, Resource, build_ref
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.helm import chart_dependencies, helm_template
from gatekeeper.render.helm.helm_origin import ChartRender, HelmOrigin
from gatekeeper.render.model import BuildOutput, ChartContent, ChartUse
from gatekeeper.sources.source_cache import MissingSourceError
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
    tree: Tree, use: ChartUse, chart: ChartContent, files_by_path: Mapping[str, ParsedFile], config: Config
) -> ChartOutput:
    """Renders a use of a chart; where helm fails, returns a finding with its message, and a gap.

    Args:
        tree: of the repository, which has the files of values.
    """
    none = BuildOutput([], [], [])
    if faults := chart.find_faults():
        return ChartOutput(BuildOutput([], [], faults), none)
    try:
        text = helm_template.run_helm_template(tree, use, chart.files, config)
    except MissingSourceError as error:
        name, file = (use.fetched.name, use.fetched.location.file) if use.fetched else ("", use.chart)
        return ChartOutput(BuildOutput([], [], [Gap(file, f"chart {name}: {error}", is_fatal=True)]), none)
    except ToolError as error:
        return ChartOutput(_report_failure(use, error), none)
    render = ChartRender(tree, use, chart, config, files_by_path)
    output = ChartOutput(BuildOutput([], [], _find_cluster_calls(use, chart)), none)
    _add_objects(output, render, text)
    return output


def _find_cluster_calls(use: ChartUse, chart: ChartContent) -> list[Gap]:
    calls = chart.find_cluster_calls()
    if use.fetched is None:
        return calls
    name, file = f"chart {use.fetched.name} {use.fetched.pin.version}", use.fetched.location.file
    return [call._replace(file=file, reason=f"{name}: {call.reason}") for call in calls]


def _report_failure(use: ChartUse, error: ToolError) -> BuildOutput:
    values = f" with {', '.join(use.values_files)}" if use.values_files else ""
    place = Location(f"{use.chart}/Chart.yaml".lstrip("/"), 1)
    message, hint, what = f"{error}{values}", "run `helm template` there and correct the error", "it"
    if use.fetched is not None:
        what = f"chart {use.fetched.name} {use.fetched.pin.version}"
        place, message, hint = use.fetched.location, f"{what}: {message}", "correct the values of the release"
    finding = Finding("render/helm", "error", message, place, hint=hint)
    gap = Gap(place.file, f"helm could not render {what}, so its objects were not checked", is_fatal=True)
    return BuildOutput([], [finding], [gap])


def _add_objects(output: ChartOutput, render: ChartRender, text: str) -> None:
    """Adds the objects that Helm printed, and findings for what is no YAML."""
    numbers = Counter[str]()
    for template, _, (parsed_documents, failure) in helm_template.parse_output(text):
        file = _find_file(render, template)
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


def _find_file(render: ChartRender, template: str) -> str:
    """The file of the repository that an object of a template comes from."""
    if render.use.fetched is not None:
        return render.use.fetched.location.file
    return chart_dependencies.find_source(render.tree, render.use.chart, template).file
