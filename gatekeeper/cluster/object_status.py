"""Writes the status of an object and events about it. Every controller reports to the cluster through this module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind
from gatekeeper.kube import events as kube_events
from gatekeeper.kube.events import Event
from gatekeeper.model import Object

EVENTS = Kind("v1", "events", True)


def write_status(cluster: DynamicClient, value: Object, status: Mapping[str, Any]) -> Object:
    """Merges a status into an object that still has the resourceVersion it was read with; returns the result.

    Raises:
        ToolError: the object was changed since it was read, or the cluster refuses or does not answer.
    """
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    return cluster.patch_status(kind, value, status) if kind is not None else value


def write_status_if_current(cluster: DynamicClient, value: Object, status: Mapping[str, Any]) -> None:
    """Merges a status into an object; does nothing if the object is gone or was changed since it was read.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    try:
        write_status(cluster, value, status)
    except ApiStatusError as error:
        if error.code not in (NOT_FOUND, CONFLICT):
            raise


def create_events(
    cluster: DynamicClient,
    value: Object,
    events: Iterable[Event],
    now: float,
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Creates events about an object; does nothing if its namespace is gone.

    Args:
        now: seconds since 1970.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    for event in events:
        try:
            cluster.create(EVENTS, kube_events.build_event(event, value, now, annotations))
        except ApiStatusError as error:
            if error.code != NOT_FOUND:
                raise
