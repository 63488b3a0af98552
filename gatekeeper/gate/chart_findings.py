"""Findings in charts from elsewhere: those that values fix, and the template of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatekeeper.model import Finding, Origin, Resource, Severity, get_field
from gatekeeper.render.helm.helm_origin import HelmOrigin
from gatekeeper.render.helm.post_render import PostRenderedOrigin
from gatekeeper.render.helm.unknown_values import has_stand_in


def attribute_findings(
    findings: Iterable[Finding], resources: Iterable[Resource], severity: Severity
) -> Iterator[Finding]:
    """The findings without those that rest on a stand-in; those that no value of the repository sets name the template.

    Args:
        resources: the rendered resources.
        severity: of an error that only the authors of the chart can fix.
    """
    charted = [(resource, origin) for resource in resources if (origin := _find_chart_origin(resource)) is not None]
    fetched = {
        (origin.chart_render.use.fetched.location, resource.ref): origin
        for resource, origin in charted
        if origin.chart_render.use.fetched is not None
    }
    replaced = {resource.ref: resource for resource, _ in charted if has_stand_in(resource.json)}
    for finding in findings:
        ref = finding.resource_ref
        if ref in replaced and finding.field_path and has_stand_in(get_field(replaced[ref].value, finding.field_path)):
            continue
        origin = fetched.get((finding.location, ref)) if ref is not None else None
        if origin is None or origin.chart_render.use.fetched is None:
            yield finding
            continue
        chart = origin.chart_render.use.fetched
        hint = (
            f"set by `{origin.template}` of chart {chart.name} {chart.pin.version}, and by no value of this repository"
        )
        yield finding._replace(
            severity=severity if finding.severity == "error" else finding.severity,
            hint=f"{finding.hint}; {hint}" if finding.hint else hint,
        )


def _find_chart_origin(resource: Resource) -> HelmOrigin | None:
    """The origin of an object in a chart, before post-renderers; None for other objects."""
    origin: Origin = resource.origin
    while isinstance(origin, PostRenderedOrigin):
        origin = origin.inner
    return origin if isinstance(origin, HelmOrigin) else None
