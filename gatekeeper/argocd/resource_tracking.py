"""To which Application an object belongs: by an annotation, a label, or both, as Argo CD is set up.

Source: argo-cd `docs/user-guide/resource_tracking.md`, `util/argo/resource_tracking.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health import resource_health
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import ToolError
from gatekeeper.kube.labels import read_labels

TRACKING_ID, INSTALLATION_ID = "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"
INSTANCE_LABEL, MAX_LABEL_LENGTH = "app.kubernetes.io/instance", 63
SETTINGS_CONFIG_MAP = "argocd-cm"
TrackingMethod = Literal["annotation", "annotation+label", "label"]


class TrackingSettings(NamedTuple):
    """How objects are marked; and the user's own scripts that say how well they are."""

    method: TrackingMethod = "annotation"
    instance_label: str = INSTANCE_LABEL
    installation_id: str = ""
    health_scripts: Mapping[str, str] = MappingProxyType({})


def read_tracking_settings(cluster: DynamicClient, argocd_namespace: str) -> TrackingSettings:
    """How Argo CD's settings say that objects are marked; the usual way where there are none.

    Raises:
        ToolError: the cluster does not tell, or they name a way that there is not.
    """
    held = secret_values.read_data(cluster, argocd_namespace, "ConfigMap", SETTINGS_CONFIG_MAP) or {}
    words = {key: held[key].reveal().decode("utf-8", "replace").strip() for key in held}
    method: Any = words.get("application.resourceTrackingMethod") or "annotation"
    if method not in ("annotation", "annotation+label", "label"):
        raise ToolError(
            f"the ConfigMap {argocd_namespace}/{SETTINGS_CONFIG_MAP}: `application.resourceTrackingMethod` is {method}"
        )
    label, installation = words.get("application.instanceLabelKey") or INSTANCE_LABEL, words.get("installationID") or ""
    return TrackingSettings(method, label, installation, resource_health.parse_scripts(words))


def format_instance_name(application: Application, argocd_namespace: str) -> str:
    """The name of an Application among all: that of one elsewhere begins with its namespace."""
    own = application.name
    return own if application.namespace == argocd_namespace else f"{application.namespace}_{own}"


def format_tracking_id(instance_name: str, entry: InventoryEntry) -> str:
    """What an object of an Application is marked with."""
    return f"{instance_name}:{entry.group}/{entry.kind}:{entry.namespace}/{entry.name}"


def mark_object(settings: TrackingSettings, instance_name: str, value: Object, namespace: str) -> Object:
    """An object with the marks of its Application.

    Args:
        namespace: of the Application's destination, by which what is in no namespace is marked.
    """
    own = deepcopy(value)
    metadata, entry = own["metadata"], entry_of(value)
    if settings.method != "label":
        marks = {
            TRACKING_ID: format_tracking_id(
                instance_name, entry if entry.namespace else entry._replace(namespace=namespace)
            )
        }
        if settings.installation_id:
            marks[INSTALLATION_ID] = settings.installation_id
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **marks}
    if settings.method != "annotation":
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            settings.instance_label: instance_name[:MAX_LABEL_LENGTH],
        }
    return own


def find_owner(settings: TrackingSettings, live: Object) -> str:
    """The Application that an object in the cluster belongs to; empty where it belongs to none.

    What was copied with its mark belongs to none: the mark is about another object.
    """
    if settings.method == "label":
        return read_labels(live).get(settings.instance_label, "")
    notes = read_labels(live, "annotations")
    if settings.installation_id and notes.get(INSTALLATION_ID) != settings.installation_id:
        return ""
    app, _, rest = notes.get(TRACKING_ID, "").partition(":")
    kind, _, name = rest.partition(":")
    entry = entry_of(live)
    if kind != f"{entry.group}/{entry.kind}" or name.rpartition("/")[2] != entry.name:
        return ""
    is_there = not entry.namespace or name.rpartition("/")[0] == entry.namespace
    return app if is_there else ""
