"""API versions of built-in kinds of which a cluster serves several, by the version of Kubernetes.

Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/.
"""

from __future__ import annotations

from collections.abc import Sequence

NEWEST = 1000
_FLOW_CONTROL = {
    "flowcontrol.apiserver.k8s.io/v1": (29, NEWEST),
    "flowcontrol.apiserver.k8s.io/v1beta3": (26, 31),
    "flowcontrol.apiserver.k8s.io/v1beta2": (23, 28),
}
_EVENT = {"v1": (0, NEWEST), "events.k8s.io/v1": (19, NEWEST)}
# By (group, kind): the minor versions of Kubernetes from and until which a cluster serves each version by default.
_SERVED = {
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT,
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "autoscaling/v1": (0, NEWEST),
        "autoscaling/v2": (23, NEWEST),
        "autoscaling/v2beta2": (12, 25),
    },
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): _FLOW_CONTROL,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): _FLOW_CONTROL,
    ("storage.k8s.io", "CSIStorageCapacity"): {"storage.k8s.io/v1": (24, NEWEST), "storage.k8s.io/v1beta1": (21, 26)},
}


def list_served_versions(group: str, kind: str, kubernetes: str) -> Sequence[str] | None:
    """The API versions of a kind that a cluster serves; None for a kind of which it serves no more than one.

    Args:
        kubernetes: the version of Kubernetes, such as `1.34`.
    """
    served = _SERVED.get((group, kind))
    if served is None:
        return None
    minor = int(kubernetes.partition(".")[2])
    return [version for version, (first, last) in served.items() if first <= minor <= last]
