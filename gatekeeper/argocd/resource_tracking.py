"""Resource tracking: which Application an object belongs to, by annotation, label, or both.

Source: argo-cd `docs/user-guide/resource_tracking.md`, `util/argo/resource_tracking.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Literal

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.health.resource_health import HealthScripts, parse_scripts
from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, read_labels
from gatekeeper.named_tuple import NamedTuple

TRACKING_ID, INSTALLATION_ID = "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"
INSTANCE_LABEL, MAX_LABEL_LENGTH = "app.kubernetes.io/instance", 63
SETTINGS_CONFIG_MAP = "argocd-cm"
TrackingMethod = Literal["annotation", "annotation+label", "label"]
TRACKING_METHODS = ("annotation", "annotation+label", "label")


class TrackingSettings(NamedTuple):
    """How objects are marked, and the users' health scripts."""

    method: TrackingMethod = "annotation"
    instance_label: str = INSTANCE_LABEL
    installation_id: str = ""
    health_scripts: HealthScripts = MappingProxyType({})


def read_tracking_settings(cluster: DynamicClient, argocd_namespace: str) -> TrackingSettings:
    """Read the settings from the ConfigMap `argocd-cm`; Argo CD's defaults if it is missing.

    Raises:
        ToolError: the cluster does not answer, or a setting is invalid.
    """
    data = secrets.read_data(cluster, argocd_namespace, "ConfigMap", SETTINGS_CONFIG_MAP) or {}
    settings: Mapping[str, str] = {key: text.reveal().decode("utf-8", "replace").strip() for key, text in data.items()}
    method: Any = settings.get("application.resourceTrackingMethod") or "annotation"
    if method not in TRACKING_METHODS:
        raise ToolError(
            f"ConfigMap {argocd_namespace}/{SETTINGS_CONFIG_MAP}: `application.resourceTrackingMethod` is {method}; "
            f"use {', '.join(TRACKING_METHODS)}"
        )
    return TrackingSettings(
        method,
        settings.get("application.instanceLabelKey") or INSTANCE_LABEL,
        settings.get("installationID") or "",
        parse_scripts(settings),
    )


def format_instance_name(application: Application, argocd_namespace: str) -> str:
    """Return the name that objects are marked with: `namespace_name` outside Argo CD's namespace."""
    name = application.name
    return name if application.namespace == argocd_namespace else f"{application.namespace}_{name}"


def format_tracking_id(instance_name: str, entry: InventoryEntry) -> str:
    """Return the tracking annotation of an object."""
    return f"{instance_name}:{entry.group}/{entry.kind}:{entry.namespace}/{entry.name}"


def mark_object(settings: TrackingSettings, instance_name: str, value: Object, namespace: str) -> Object:
    """Return an object with the marks of its Application.

    Args:
        namespace: the destination's namespace, which the mark of a cluster-scoped object contains.
    """
    marked = deepcopy(value)
    metadata, entry = marked["metadata"], entry_of(value)
    if settings.method != "label":
        tracked = entry if entry.namespace else entry._replace(namespace=namespace)
        annotations = {TRACKING_ID: format_tracking_id(instance_name, tracked)}
        if settings.installation_id:
            annotations[INSTALLATION_ID] = settings.installation_id
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    if settings.method != "annotation":
        labels = {settings.instance_label: instance_name[:MAX_LABEL_LENGTH]}
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    return marked


def find_owner(settings: TrackingSettings, live: Object) -> str:
    """Return the instance name of the Application that a live object belongs to; empty if it belongs to none.

    A copy of an object with its mark belongs to none, because the mark names the original object.
    """
    if settings.method == "label":
        return read_labels(live).get(settings.instance_label, "")
    annotations = read_labels(live, "annotations")
    if settings.installation_id and annotations.get(INSTALLATION_ID) != settings.installation_id:
        return ""
    instance_name, _, rest = annotations.get(TRACKING_ID, "").partition(":")
    kind, _, name = rest.partition(":")
    entry = entry_of(live)
    if kind != f"{entry.group}/{entry.kind}" or name.rpartition("/")[2] != entry.name:
        return ""
    is_same_namespace = not entry.namespace or name.rpartition("/")[0] == entry.namespace
    return instance_name if is_same_namespace else ""


class ComparisonTarget(NamedTuple):
    """Where the objects of an Application are, and how they are marked there.

    Attributes:
        instance_name: the name that the objects are marked with.
    """

    cluster: DestinationCluster
    tracking: TrackingSettings
    instance_name: str
