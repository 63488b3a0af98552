"""To which Application an object belongs: by an annotation, a label, or both, as Argo CD is set up.

Source: argo-cd `docs/user-guide/resource_tracking.md`, `util/argo/resource_tracking.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health import resource_health
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import ToolError
from gatekeeper.kube.labels import labels_of

ID, INSTALLATION = "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"
LABEL, MOST = "app.kubernetes.io/instance", 63
SETTINGS = "argocd-cm"
Method = Literal["annotation", "annotation+label", "label"]


class Tracking(NamedTuple):
    """How objects are marked; and the user's own scripts that say how well they are."""

    method: Method = "annotation"
    label: str = LABEL
    installation: str = ""
    scripts: Mapping[str, str] = MappingProxyType({})


def read(cluster: Objects, home: str) -> Tracking:
    """How Argo CD's settings say that objects are marked; the usual way where there are none.

    Raises:
        ToolError: the cluster does not tell, or they name a way that there is not.
    """
    held = secret_values.data(cluster, home, "ConfigMap", SETTINGS) or {}
    words = {key: held[key].reveal().decode("utf-8", "replace").strip() for key in held}
    method: Any = words.get("application.resourceTrackingMethod") or "annotation"
    if method not in ("annotation", "annotation+label", "label"):
        raise ToolError(f"the ConfigMap {home}/{SETTINGS}: `application.resourceTrackingMethod` is {method}")
    label, installation = words.get("application.instanceLabelKey") or LABEL, words.get("installationID") or ""
    return Tracking(method, label, installation, resource_health.scripts_of(words))


def instance(application: Application, home: str) -> str:
    """The name of an Application among all: that of one elsewhere begins with its namespace."""
    own = application.name
    return own if application.namespace == home else f"{application.namespace}_{own}"


def identifier(app: str, entry: Entry) -> str:
    """What an object of an Application is marked with."""
    return f"{app}:{entry.group}/{entry.kind}:{entry.namespace}/{entry.name}"


def marked(tracking: Tracking, app: str, value: Object, namespace: str) -> Object:
    """An object with the marks of its Application.

    Args:
        namespace: of the Application's destination, by which what is in no namespace is marked.
    """
    own = deepcopy(value)
    metadata, entry = own["metadata"], entry_of(value)
    if tracking.method != "label":
        marks = {ID: identifier(app, entry if entry.namespace else entry._replace(namespace=namespace))}
        if tracking.installation:
            marks[INSTALLATION] = tracking.installation
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **marks}
    if tracking.method != "annotation":
        metadata["labels"] = {**(metadata.get("labels") or {}), tracking.label: app[:MOST]}
    return own


def owner(tracking: Tracking, live: Object) -> str:
    """The Application that an object in the cluster belongs to; empty where it belongs to none.

    What was copied with its mark belongs to none: the mark is about another object.
    """
    if tracking.method == "label":
        return labels_of(live).get(tracking.label, "")
    notes = labels_of(live, "annotations")
    if tracking.installation and notes.get(INSTALLATION) != tracking.installation:
        return ""
    app, _, rest = notes.get(ID, "").partition(":")
    kind, _, name = rest.partition(":")
    entry = entry_of(live)
    if kind != f"{entry.group}/{entry.kind}" or name.rpartition("/")[2] != entry.name:
        return ""
    is_there = not entry.namespace or name.rpartition("/")[0] == entry.namespace
    return app if is_there else ""
