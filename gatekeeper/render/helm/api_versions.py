"""The API versions of custom resources that charts find in `.Capabilities.APIVersions`, beside those of Kubernetes.

Helm asks the cluster for them; here they are those of the CRDs that the repository applies.
Source: helm.sh/helm/v3/pkg/action/action.go, `GetVersionSet`.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.model import Resource, get_field

WORD = b"APIVersions"


def collect_api_versions(resources: Iterable[Resource]) -> frozenset[str]:
    """The served versions of the CRDs among some resources, each as `group/version` and as `group/version/Kind`."""
    found: set[str] = set()
    for resource in resources:
        if resource.ref.kind != "CustomResourceDefinition":
            continue
        spec = resource.value.get("spec")
        group, kind = get_field(spec, ("group",)), get_field(spec, ("names", "kind"))
        versions = get_field(spec, ("versions",))
        for version in versions if isinstance(versions, list) else ():
            if get_field(version, ("served",)) is True:
                name = f"{group}/{get_field(version, ('name',))}"
                found |= {name, f"{name}/{kind}"}
    return frozenset(found)
