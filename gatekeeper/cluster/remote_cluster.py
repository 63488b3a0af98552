"""Other clusters, by kubeconfigs that stand in Secrets: whoever writes one gets no more than a way into that cluster.

A kubeconfig may name programs that are run to sign in, and files that are read. Of a Secret that a tenant may write,
neither is done.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import yaml

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.kube.untrusted_kubeconfig import find_forbidden_field
from gatekeeper.secret_value import SecretBytes

KUBECONFIG_KEYS = ("value", "value.yaml")
# So many clusters are kept open.
MAX_OPEN_CLUSTERS = 64

_open_clusters: dict[str, DynamicClient] = {}
_open_lock = threading.Lock()


def open_cluster(kubeconfig: SecretBytes, subject: str) -> DynamicClient:
    """The cluster of a kubeconfig; kept open for the next who asks.

    Args:
        subject: the Secret, for messages.

    Raises:
        ToolError: it is no kubeconfig that can be used.
    """
    mark = hashlib.sha256(kubeconfig.reveal()).hexdigest()
    with _open_lock:
        if mark not in _open_clusters:
            # Somebody may still be asking it: its connections are closed when nobody knows it any more.
            while len(_open_clusters) >= MAX_OPEN_CLUSTERS:
                _open_clusters.pop(next(iter(_open_clusters)))
            _open_clusters[mark] = _connect(kubeconfig, subject)
        return _open_clusters[mark]


def _connect(kubeconfig: SecretBytes, subject: str) -> DynamicClient:
    from lightkube import KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        value: Any = yaml.safe_load(kubeconfig.reveal())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ToolError(f"{subject}: is no YAML") from None
    try:
        forbidden_field = find_forbidden_field(value)
    except ValueError:
        raise ToolError(f"{subject}: is no kubeconfig that can be used") from None
    if forbidden_field:
        raise ToolError(
            f"{subject}: its `{forbidden_field}` is not followed: what is in a Secret runs and reads nothing here"
        )
    try:
        single = KubeConfig.from_dict(value).get()
        if single is None:
            raise ValueError("no current context")
        return DynamicClient(single, f"the cluster of {subject}")
    except (AssertionError, ConfigError, KeyError, ValueError, TypeError, AttributeError, OSError):
        raise ToolError(f"{subject}: is no kubeconfig that can be used") from None
