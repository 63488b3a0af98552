"""What the real helm renders from a chart, and which line of values or of a template set each field."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.errors import ToolError
from gatekeeper.model import Finding, Gap, Place, Resource
from gatekeeper.render import helm_template
from gatekeeper.render.chart_uses import Use
from gatekeeper.render.helm_origin import Render, Templated
from gatekeeper.render.manifests import ref_of
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree


def build(
    tree: Tree, use: Use, sources: Mapping[str, Source], kubernetes: str, timeout: float
) -> tuple[list[Resource], list[Finding], list[Gap]]:
    """What helm renders; where it cannot, a finding with its words, and a gap."""
    chart_file = f"{use.chart}/Chart.yaml".lstrip("/")
    fetched = helm_template.fetched(tree, use.chart)
    if fetched:
        reason = f"depends on {', '.join(fetched)}, which is not fetched: run `helm dependency build`, commit `charts/`"
        return [], [], [Gap(chart_file, reason, fatal=True)]
    try:
        with helm_template.whole(tree, use.chart) as chart:
            text = helm_template.template(tree, use, chart, kubernetes, timeout)
    except ToolError as error:
        values = f" with {', '.join(use.files)}" if use.files else ""
        finding = Finding(
            "render/helm", "error", f"{error}{values}", Place(chart_file, 1), hint="run `helm template` there"
        )
        return [], [finding], [Gap(chart_file, "helm could not render it, so nothing of it was judged", fatal=True)]
    render = Render(tree, use, kubernetes, timeout, sources)
    resources: list[Resource] = []
    findings: list[Finding] = []
    for template, chunk in helm_template.chunks(text):
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
