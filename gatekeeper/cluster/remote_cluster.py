"""Other clusters, reached with kubeconfigs from Secrets.

A kubeconfig may name programs to run and files to read. One that comes from a Secret of a tenant must not.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import yaml
from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.kube.untrusted_kubeconfig import find_forbidden_field
from gatekeeper.secret_value import SecretBytes

# The keys of a Secret that may hold the kubeconfig, as Flux looks for them.
KUBECONFIG_KEYS = ("value", "value.yaml")
# The most clusters whose connections are kept open.
MAX_OPEN_CLUSTERS = 64

_open_clusters: dict[str, DynamicClient] = {}
_open_lock = threading.Lock()


def open_cluster(kubeconfig: SecretBytes, subject: str) -> DynamicClient:
    """The client of a kubeconfig; it is kept open for later calls.

    Args:
        subject: the Secret, for messages.

    Raises:
        ToolError: the kubeconfig cannot be used.
    """
    digest = hashlib.sha256(kubeconfig.reveal()).hexdigest()
    with _open_lock:
        if digest not in _open_clusters:
            # Another thread may still use a dropped client: it is closed with its last reference.
            while len(_open_clusters) >= MAX_OPEN_CLUSTERS:
                _open_clusters.pop(next(iter(_open_clusters)))
            _open_clusters[digest] = _connect(kubeconfig, subject)
        return _open_clusters[digest]


def _connect(kubeconfig: SecretBytes, subject: str) -> DynamicClient:
    try:
        value: Any = yaml.safe_load(kubeconfig.reveal())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ToolError(f"{subject}: the kubeconfig is not YAML") from None
    try:
        forbidden_field = find_forbidden_field(value)
        if forbidden_field:
            raise ToolError(
                f"{subject}: `{forbidden_field}` is not allowed in a kubeconfig from a Secret: embed the data instead"
            )
        config = KubeConfig.from_dict(value).get()
        if config is None:
            raise ValueError("no current context")
        return DynamicClient(config, f"the cluster of {subject}")
    except (AssertionError, ConfigError, KeyError, ValueError, TypeError, AttributeError, OSError):
        raise ToolError(f"{subject}: not a usable kubeconfig: check its current context") from None
