"""Objects as admission sees them: the API server has filled in their namespace, or taken it away, by their kind.

Source: apiserver `pkg/registry/rest/meta.go` (EnsureObjectNamespaceMatchesRequestNamespace), which runs before
admission; the namespace of a request is that which kubectl, Flux, Argo CD or Helm sends it to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gatekeeper.engines.protocol import EngineContext, ResourceGroup
from gatekeeper.engines.schema import known_crds
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.model import Resource
from gatekeeper.render.helm.helm_origin import HelmOrigin
from gatekeeper.render.helm.post_render import PostRenderedOrigin

DEFAULT_NAMESPACE = "default"


class ObjectAdmission:
    """Fills in namespaces.

    Args:
        scopes: the scope of each kind.
        groups: all resources, with the file or folder that they were rendered from.
        target_namespaces: the namespaces that Argo CD applies those files and folders to.

    Attributes:
        scopes: see above.
    """

    def __init__(
        self, scopes: KindScopes, groups: Sequence[ResourceGroup], target_namespaces: Mapping[str, Sequence[str]]
    ) -> None:
        self.scopes = scopes
        self._namespaces = {
            id(resource): target_namespaces[name]
            for name, group in groups
            if name in target_namespaces
            for resource in group
            if not resource.ref.namespace
        }

    def is_scope_unknown(self, resource: Resource) -> bool:
        """Whether nothing says if an object without a namespace is in one."""
        return not resource.ref.namespace and self.scopes.is_namespaced(resource.ref) is None

    def admit(self, resource: Resource) -> list[Resource]:
        """The object as admission sees it, once for each namespace that it is applied to."""
        is_namespaced = self.scopes.is_namespaced(resource.ref)
        if is_namespaced is None or is_namespaced == bool(resource.ref.namespace):
            return [resource]
        if not is_namespaced:
            return [set_namespace(resource, "")]
        origin = resource.origin
        while isinstance(origin, PostRenderedOrigin):
            origin = origin.inner
        if isinstance(origin, HelmOrigin):
            return [set_namespace(resource, origin.chart_render.use.namespace or DEFAULT_NAMESPACE)]
        return [set_namespace(resource, name) for name in self._namespaces.get(id(resource)) or (DEFAULT_NAMESPACE,)]


def build_admission(context: EngineContext) -> ObjectAdmission:
    """The admission of the objects of a run."""
    kinds = known_crds.find_custom_kinds(context.tree, context.parsed_files, context.resources, context.config)
    return ObjectAdmission(KindScopes(kinds), context.resource_groups, context.target_namespaces)


def set_namespace(resource: Resource, namespace: str) -> Resource:
    """The object in a namespace; in none if it is empty."""
    value = resource.value
    metadata = value.get("metadata")
    value["metadata"] = metadata = dict(metadata) if isinstance(metadata, dict) else {}
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    return Resource(resource.ref._replace(namespace=namespace), orjson.dumps(value), resource.origin)
