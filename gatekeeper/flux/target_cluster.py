"""Where, and with whose rights, a Kustomization is applied: in its own cluster or another, as itself or as an account.

Source: kustomize-controller `docs/spec/v1/kustomizations.md` (remote clusters, role-based access control).
"""

from __future__ import annotations

from gatekeeper.cluster import remote_cluster, secret_values
from gatekeeper.cluster.dynamic_client import Objects
from gatekeeper.errors import ToolError
from gatekeeper.flux.kustomization_spec import Wanted


def there(cluster: Objects, namespace: str, wanted: Wanted) -> Objects:
    """The cluster that is applied to, with the rights that count there.

    Args:
        cluster: that of the Kustomization, whose status is ours to write.

    Raises:
        ToolError: the Secret with the kubeconfig is not there, or cannot be used.
    """
    found = cluster
    if wanted.cluster is not None:
        name, key = wanted.cluster
        held = secret_values.secret(cluster, namespace, name)
        if held is None:
            raise ToolError(f"the Secret {namespace}/{name} with the kubeconfig is not there")
        text = next((held[one] for one in ((key,) if key else remote_cluster.KEYS) if one in held), None)
        if text is None:
            raise ToolError(f"the Secret {namespace}/{name} has no `{key or remote_cluster.KEYS[0]}`")
        found = remote_cluster.opened(text, f"the Secret {namespace}/{name}")
    return found.acting(f"system:serviceaccount:{namespace}:{wanted.account}") if wanted.account else found
