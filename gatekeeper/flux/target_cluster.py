"""The cluster that a Kustomization is applied to, with the rights that count there.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (remote clusters, role-based access control).
"""

from __future__ import annotations

from gatekeeper.cluster import remote_cluster, secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux.kustomization_spec import KustomizationSpec


def resolve_cluster(cluster: DynamicClient, namespace: str, spec: KustomizationSpec) -> DynamicClient:
    """The cluster that a Kustomization is applied to, impersonating its ServiceAccount if it names one.

    Args:
        cluster: the cluster of the Kustomization.
        namespace: the namespace of the Kustomization.

    Raises:
        ToolError: the Secret with the kubeconfig does not exist or cannot be used, or the cluster does not answer.
    """
    target = cluster
    if spec.kubeconfig_secret is not None:
        target = _open_remote_cluster(cluster, namespace, *spec.kubeconfig_secret)
    if spec.service_account:
        return target.impersonate(f"system:serviceaccount:{namespace}:{spec.service_account}")
    return target


def _open_remote_cluster(cluster: DynamicClient, namespace: str, name: str, key: str) -> DynamicClient:
    data = secrets.read_secret(cluster, namespace, name)
    if data is None:
        raise ToolError(f"kubeconfig Secret {namespace}/{name} not found: create it")
    keys = (key,) if key else remote_cluster.KUBECONFIG_KEYS
    kubeconfig = next((data[candidate] for candidate in keys if candidate in data), None)
    if kubeconfig is None:
        raise ToolError(f"the Secret {namespace}/{name} has no `{keys[0]}` with the kubeconfig")
    return remote_cluster.open_cluster(kubeconfig, f"the Secret {namespace}/{name}")
