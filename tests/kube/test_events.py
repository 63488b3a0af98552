"""Events about objects."""

from __future__ import annotations

from gatekeeper.kube.events import Event, build_event


def test_an_event_names_its_object_and_its_time() -> None:
    metadata = {"namespace": "prod", "name": "web", "uid": "u1", "resourceVersion": "7"}
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    event = build_event(Event("Warning", "Failed", "m" * 2000), value, 0.0, {"example.com/revision": "main"})
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Secret", **metadata}
    assert event["metadata"] == {
        "generateName": "web.",
        "namespace": "prod",
        "annotations": {"example.com/revision": "main"},
    }
    assert event["firstTimestamp"] == event["lastTimestamp"] == "1970-01-01T00:00:00Z"
    assert len(event["message"]) == 1024


def test_an_event_without_annotations_has_no_such_field() -> None:
    event = build_event(Event("Normal", "Synced", "done"), {"metadata": {"name": "a", "namespace": "b"}}, 0.0)
    assert "annotations" not in event["metadata"]
