"""Statuses and events in a real cluster: a stale object is never overwritten, and a missing one is not an error."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.cluster import object_status
from gatekeeper.cluster.dynamic_client import CONFLICT, ApiStatusError, DynamicClient
from gatekeeper.kube.events import Event

NODE: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}


def test_status_is_merged_and_a_stale_object_is_refused(dynamic_client: DynamicClient) -> None:
    kind = dynamic_client.find_kind("v1", "Node")
    assert kind is not None
    read = dynamic_client.create(kind, NODE)
    written = object_status.write_status(dynamic_client, read, {"phase": "Running"})
    assert written["status"]["phase"] == "Running"
    with pytest.raises(ApiStatusError) as stale:
        object_status.write_status(dynamic_client, read, {"phase": "Pending"})
    assert stale.value.code == CONFLICT
    object_status.write_status_if_current(dynamic_client, read, {"phase": "Pending"})
    dynamic_client.delete(kind, "", "n", read["metadata"]["uid"])
    object_status.write_status_if_current(dynamic_client, written, {"phase": "Pending"})


def test_status_of_an_unknown_kind_is_left(dynamic_client: DynamicClient) -> None:
    value = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "resourceVersion": "1"}}
    assert object_status.write_status(dynamic_client, value, {"a": 1}) == value


def test_events_name_their_object_and_annotations(dynamic_client: DynamicClient) -> None:
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "subject", "namespace": "prod"}}
    event = Event("Warning", "Tested", "a message")
    object_status.create_events(dynamic_client, value, [event, event], 1_800_000_000.0, {"example.com/a": "b"})
    listed = [
        found
        for found in dynamic_client.list(object_status.EVENTS, "prod")
        if found["involvedObject"]["name"] == "subject"
    ]
    assert [found["message"] for found in listed] == ["a message", "a message"]
    assert listed[0]["metadata"]["annotations"] == {"example.com/a": "b"}
    elsewhere = {**value, "metadata": {"name": "subject", "namespace": "deleted"}}
    object_status.create_events(dynamic_client, elsewhere, [event], 1_800_000_000.0)
