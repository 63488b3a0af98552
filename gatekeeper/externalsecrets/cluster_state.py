"""The state of a cluster at the start of a sync: the ExternalSecrets, their Secrets, and templates in other objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.target.ownership import CREATED_BY_LABEL, MANAGED_LABEL
from gatekeeper.externalsecrets.target.template import TemplateReader
from gatekeeper.model import NamespacedName, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores.protocol import StoreError

# The number of concurrent requests to the cluster.
CONCURRENT_REQUESTS = 16


class ClusterState(NamedTuple):
    """What a cluster has.

    Attributes:
        cluster: None if there is none, so that nothing is known about Secrets.
        objects: the ExternalSecrets as they are in the cluster; empty if they come from a repository.
        secrets: the Secrets that may be targets.
        managed_secrets: the names of the managed Secrets, by namespace and the mark of their creator.
    """

    cluster: DynamicClient | None
    objects: Mapping[NamespacedName, Any]
    secrets: Mapping[NamespacedName, dict[str, Any]] = {}
    managed_secrets: Mapping[NamespacedName, list[str]] = {}


def read_cluster_state(
    cluster: DynamicClient | None,
    specs: Iterable[ExternalSecretSpec],
    objects: Mapping[NamespacedName, Any],
    is_dry_run: bool,
) -> ClusterState:
    """Read the Secrets of ExternalSecrets, with one request per namespace for the managed ones.

    Args:
        is_dry_run: whether nothing will be written. A real run finds out about an unmanaged Secret when it writes; a
            dry run must read each of them.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    if cluster is None:
        return ClusterState(None, objects)
    listed = list(specs)
    namespaces = sorted({spec.namespace for spec in listed})
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        lists = list(pool.map(partial(_list_managed_secrets, cluster), namespaces))
        existing = {
            NamespacedName(namespace, name): secret
            for namespace, by_name in zip(namespaces, lists, strict=True)
            for name, secret in by_name.items()
        }
        # A Secret without the label must be known before a merge, or if its owner must be respected.
        unmanaged = [
            spec.target_key
            for spec in listed
            if spec.target_key not in existing and (is_dry_run or spec.target.creation_policy in ("Merge", "Orphan"))
        ]
        secrets_found = list(pool.map(lambda name: secrets.get_secret(cluster, *name), unmanaged))
    existing |= {name: secret for name, secret in zip(unmanaged, secrets_found, strict=True) if secret is not None}
    managed: dict[NamespacedName, list[str]] = {}
    for (namespace, name), secret in existing.items():
        mark = str(get_field(secret, ("metadata", "labels", CREATED_BY_LABEL)))
        managed.setdefault(NamespacedName(namespace, mark), []).append(name)
    return ClusterState(cluster, objects, existing, managed)


def _list_managed_secrets(cluster: DynamicClient, namespace: str) -> dict[str, dict[str, Any]]:
    return secrets.list_secrets(cluster, namespace, f"{MANAGED_LABEL}=true")


def build_template_reader(cluster: DynamicClient | None, namespace: str) -> TemplateReader:
    """Return a function that reads templates from ConfigMaps and Secrets of a namespace."""
    return partial(_read_template, cluster, namespace)


def _read_template(cluster: DynamicClient | None, namespace: str, kind: str, name: str, key: str) -> str:
    text = secrets.read_text(cluster, kind, namespace, name, key) if cluster is not None else None
    if text is None:
        raise StoreError(f"the template `{key}` of {kind} {name} is missing")
    return text
