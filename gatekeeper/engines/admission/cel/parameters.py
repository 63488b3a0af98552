"""The parameters of a binding: objects of the repository that its policy reads as `params`.

Source: apiserver `pkg/admission/plugin/policy/generic/policy_dispatcher.go` (CollectParams).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected
from gatekeeper.model import ObjectRef, Resource, get_field, read_labels
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.cel_evaluation import CelParameters

PREFIX = "failed to configure binding: "
CLUSTER_SCOPED_OBJECT = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
CLUSTER_SCOPED_KIND = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
NOT_FOUND = "no params found for policy binding with `Deny` parameterNotFoundAction"


class ParametersDeniedError(Exception):
    """A binding refuses an object because of its parameters; the text is the API server's message."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{PREFIX}{reason}")


class BindingParameters(NamedTuple):
    """The parameters that a binding may use.

    Attributes:
        kind: their API version and kind, without a name.
        found: each with its namespace; empty for a kind without namespaces.
        namespace: that of `paramRef`; empty if the namespace of the object counts.
        is_namespaced: whether their kind is namespaced.
        is_required: whether an object without parameters is refused.
    """

    kind: ObjectRef
    found: Sequence[tuple[str, CelParameters]]
    namespace: str
    is_namespaced: bool
    is_required: bool

    def select(self, namespace: str) -> list[CelParameters]:
        """The parameters for an object in a namespace (empty for an object without).

        Raises:
            ParametersDeniedError: the binding refuses such objects.
        """
        if not self.is_namespaced and self.namespace:
            raise ParametersDeniedError(CLUSTER_SCOPED_KIND)
        wanted = self.namespace or namespace
        if self.is_namespaced and not wanted:
            raise ParametersDeniedError(CLUSTER_SCOPED_OBJECT)
        selected = [one for where, one in self.found if not self.is_namespaced or where == wanted]
        if not selected and self.is_required:
            raise ParametersDeniedError(NOT_FOUND)
        return selected


def find_parameters(
    kind: Any, param_ref: Any, resources: Sequence[Resource], scopes: KindScopes
) -> BindingParameters | None:
    """Finds the parameters of a binding; None if its policy has no parameters, or if it names none.

    Args:
        kind: `paramKind` of the policy.
        param_ref: `paramRef` of the binding.

    Raises:
        PolicyError: the repository does not contain them, or does not say whether their kind is namespaced.
    """
    if not isinstance(kind, dict) or not isinstance(param_ref, dict):
        return None
    ref = ObjectRef(str(kind.get("apiVersion")), str(kind.get("kind")), "", "")
    is_namespaced = scopes.is_namespaced(ref)
    if is_namespaced is None:
        raise PolicyError(
            f"nothing says whether its parameters, {ref.kind} ({ref.api_version}), are namespaced: add the CRD of the "
            "kind to the repository or to `schemas.crds`"
        )
    namespace = str(param_ref.get("namespace") or "")
    found = []
    for resource in resources:
        if _is_selected(resource, ref, param_ref):
            if resource.ref.api_version != ref.api_version:
                scopes.check_conversion(ref, ref.api_version)
            found.append((resource.ref.namespace, CelParameters(resource.json, ref.api_version)))
    if not any(not namespace or where == namespace for where, _ in found) and (is_namespaced or not namespace):
        raise PolicyError(f"the repository does not contain its parameters ({ref.kind} {param_ref.get('name') or ''})")
    is_required = param_ref.get("parameterNotFoundAction") == "Deny"
    return BindingParameters(ref, found, namespace, is_namespaced, is_required)


def _is_selected(resource: Resource, kind: ObjectRef, param_ref: Mapping[str, Any]) -> bool:
    if (resource.ref.group, resource.ref.kind) != (kind.group, kind.kind):
        return False
    if param_ref.get("name"):
        return bool(resource.ref.name == param_ref["name"])
    selector = get_field(param_ref, ("selector",)) or {}
    return is_selected(selector, read_labels(resource.value), "paramRef.selector")
