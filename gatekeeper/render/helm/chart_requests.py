"""Requests for charts from elsewhere, as HelmReleases and Applications make them.

Sources: source-controller `api/v1` (HelmRepository, OCIRepository, HelmChart), helm-controller `api/v2`
(HelmRelease), Argo CD `ApplicationSource`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatekeeper.model import FieldPath, Location, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.address import normalize_address
from gatekeeper.sources.model import RequestedSource, SourceKind, SourceRequest, VersionRule

SOURCE_GROUP = "source.toolkit.fluxcd.io"
SOURCE_KINDS = ("HelmRepository", "OCIRepository", "HelmChart")
SourceObjects = Mapping[tuple[str, str, str], Resource]
OCI_FIELDS = ("digest", "semver", "semverFilter", "tag")


class RequestedChart(NamedTuple):
    """A chart that an object uses: the request for it, or the reason why it is unknown.

    Attributes:
        name: of the chart; empty if only its content says it.
        location: the line of the object that names the chart.
    """

    name: str
    location: Location
    source: RequestedSource | None = None
    reason: str = ""


def collect_source_objects(resources: Iterable[Resource]) -> SourceObjects:
    """The sources of Flux, by kind, namespace and name."""
    return {
        (resource.ref.kind, resource.ref.namespace, resource.ref.name): resource
        for resource in resources
        if resource.ref.kind in SOURCE_KINDS and resource.ref.group == SOURCE_GROUP
    }


def find_release_request(release: Resource, objects: SourceObjects) -> RequestedChart | None:
    """The chart that a HelmRelease uses; None if it is a folder of a Git repository or bucket."""
    spec = release.value.get("spec")
    reference = get_field(spec, ("chartRef",))
    if isinstance(reference, dict):
        location = release.origin.find_location(("spec", "chartRef", "name"))
        return _find_referenced(release, location, reference, objects)
    location = release.origin.find_location(("spec", "chart", "spec", "chart"))
    return _find_chart(release, location, ("spec", "chart", "spec"), objects)


def _find_referenced(
    release: Resource, location: Location, reference: Mapping[str, Any], objects: SourceObjects
) -> RequestedChart | None:
    kind, name = str(reference.get("kind")), str(reference.get("name"))
    found = objects.get((kind, str(reference.get("namespace") or release.ref.namespace), name))
    if found is None:
        what = f"{kind} `{name}` is not in the repository" if kind in SOURCE_KINDS else f"kind {kind} is not supported"
        return RequestedChart("", location, None, f"{what}, so its chart is unknown")
    if kind == "HelmChart":
        return _find_chart(found, location, ("spec",), objects)
    spec = found.value.get("spec")
    fields = tuple((name, str(spec["ref"][name])) for name in OCI_FIELDS if get_field(spec, ("ref", name)))
    layer = tuple(str(get_field(spec, ("layerSelector", name)) or "") for name in ("mediaType", "operation"))
    request = build_request("oci", str(get_field(spec, ("url",))), reference=fields or (("tag", "latest"),))
    if request is None:
        return RequestedChart("", location, None, f"{kind} `{name}` has no valid `url`")
    place = found.origin.find_location(("spec", "ref") if fields else ("spec", "url"))
    return RequestedChart("", location, RequestedSource(request._replace(layer=(layer[0], layer[1])), place))


def _find_chart(
    resource: Resource, location: Location, path: FieldPath, objects: SourceObjects
) -> RequestedChart | None:
    """The chart of `chart.spec` of a HelmRelease, or of `spec` of a HelmChart."""
    spec = get_field(resource.value, path)
    reference = get_field(spec, ("sourceRef",))
    name = str(get_field(spec, ("chart",)) or "")
    if get_field(reference, ("kind",)) != "HelmRepository":
        return None
    namespace = get_field(reference, ("namespace",)) or resource.ref.namespace
    found = objects.get(("HelmRepository", str(namespace), str(get_field(reference, ("name",)))))
    if found is None:
        reason = f"HelmRepository `{get_field(reference, ('name',))}` is not in the repository, so its chart is unknown"
        return RequestedChart(name, location, None, reason)
    settings = found.value.get("spec")
    url, version = str(get_field(settings, ("url",))), str(get_field(spec, ("version",)) or "*")
    request = build_request("helm", url, name, (("", version),))
    if request is None or not name:
        return RequestedChart(name, location, None, "its HelmRepository has no valid `url`, or the chart has no name")
    passes = get_field(settings, ("passCredentials",)) is True
    field = "version" if get_field(spec, ("version",)) else "chart"
    place = resource.origin.find_location((*path, field))
    return RequestedChart(name, location, RequestedSource(request._replace(passes_credentials=passes), place))


def find_application_request(application: Resource, path: FieldPath) -> RequestedChart:
    """The chart that a source of an Application uses.

    Args:
        path: of the source in the Application.
    """
    source = get_field(application.value, path)
    location = application.origin.find_location((*path, "chart"))
    name, url = str(get_field(source, ("chart",))), str(get_field(source, ("repoURL",)) or "")
    version = str(get_field(source, ("targetRevision",)) or "*")
    # A registry has no scheme there.
    request = build_request("helm", url if "://" in url else f"oci://{url}", name, (("", version),), rule="argocd")
    if request is None:
        return RequestedChart(name, location, None, "its `repoURL` is not valid")
    place = application.origin.find_location((*path, "targetRevision"))
    return RequestedChart(name, location, RequestedSource(request, place))


def build_request(
    kind: SourceKind,
    url: str,
    chart: str = "",
    reference: tuple[tuple[str, str], ...] = (),
    *,
    rule: VersionRule = "flux",
) -> SourceRequest | None:
    """A request; None if its URL is not valid.

    Args:
        reference: see `SourceRequest`.
    """
    try:
        address = normalize_address(url)
    except ValueError:
        return None
    return SourceRequest(
        kind=kind, address=address, url=SecretBytes(url.encode()), chart=chart, reference=reference, rule=rule
    )
