"""Where, and with whose rights, a Kustomization is applied: in its own cluster or another, as itself or as an account.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (remote clusters, role-based access control).
"""

from __future__ import annotations

from gatekeeper.cluster import remote_cluster, secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux.kustomization_spec import KustomizationSpec


def resolve_cluster(cluster: DynamicClient, namespace: str, spec: KustomizationSpec) -> DynamicClient:
    """The cluster that is applied to, with the rights that count there.

    Args:
        cluster: that of the Kustomization, whose status is ours to write.

    Raises:
        ToolError: the Secret with the kubeconfig is not there, or cannot be used.
    """
    found = cluster
    if spec.kubeconfig_secret is not None:
        name, key = spec.kubeconfig_secret
        held = secret_values.read_secret(cluster, namespace, name)
        if held is None:
            raise ToolError(f"the Secret {namespace}/{name} with the kubeconfig is not there")
        text = next((held[one] for one in ((key,) if key else remote_cluster.KUBECONFIG_KEYS) if one in held), None)
        if text is None:
            raise ToolError(f"the Secret {namespace}/{name} has no `{key or remote_cluster.KUBECONFIG_KEYS[0]}`")
        found = remote_cluster.open_cluster(text, f"the Secret {namespace}/{name}")
    return (
        found.impersonate(f"system:serviceaccount:{namespace}:{spec.service_account}")
        if spec.service_account
        else found
    )
