"""The status of an Application, as Argo CD's tools read it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd import status
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.argocd.model import ComparedObject
from tests.argocd.sync.test_operation import COMMIT, NOW, build
from tests.argocd.test_application_spec import SOURCE


def workload(image: str, wave: str = "") -> dict[str, Any]:
    annotations = {"argocd.argoproj.io/sync-wave": wave} if wave else {}
    pod = {"containers": [{"image": image}], "initContainers": [{"name": "no image"}]}
    metadata = {"name": "d", "namespace": "prod", "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": pod}}}


def test_a_comparison_has_sync_health_resources_and_images() -> None:
    value = workload("nginx:1", "3")
    desired = ComparedObject(
        entry_of(value), "OutOfSync", ObjectChange(value, "configure"), value, ArgoHealth("Degraded", "why")
    )
    leaving = desired._replace(change=None, live=workload("old:1"), health=ArgoHealth("Missing"))
    hook = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "prod"}}
    found = status.build_comparison(build(), [desired, leaving], [(entry_of(hook), hook)])
    assert found["sync"] == {
        "status": "OutOfSync",
        "comparedTo": {
            "source": SOURCE,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"},
        },
        "revision": COMMIT,
    }
    # An object that is no longer desired does not count for the health.
    assert found["health"] == {"status": "Degraded"} and found["sourceType"] == "Directory"
    assert found["summary"] == {"images": ["nginx:1", "old:1"]}
    first, second, third = found["resources"]
    assert first["syncWave"] == 3 and first["health"] == {"status": "Degraded", "message": "why"}
    assert second["requiresPruning"] is True and "requiresPruning" not in first
    assert third == {"group": "batch", "version": "v1", "kind": "Job", "namespace": "prod", "name": "j", "hook": True}


def test_an_application_with_several_sources_has_lists() -> None:
    several = build(sources=[SOURCE, {**SOURCE, "path": "b"}])._replace(revisions=["1", "2"])
    assert status.build_revisions(several) == {"revisions": ["1", "2"]}
    assert status.build_sources(several.manifest)["source"] == {"repoURL": ""}
    assert status.build_comparison(several, [], [])["sourceTypes"] == ["Directory"]


def test_conditions_of_others_and_transition_times_are_kept() -> None:
    since = "2020-01-01T00:00:00Z"
    listed = [
        {"type": "OrphanedResourceWarning", "message": "theirs"},
        {"type": "SyncError", "message": "same", "lastTransitionTime": since},
        {"type": "PruneHeld", "message": "over"},
    ]
    value = {"status": {"conditions": listed}}
    found = status.build_conditions(value, {"SyncError": "same", "Refused": "x" * 5000}, NOW)
    assert [condition["type"] for condition in found] == ["OrphanedResourceWarning", "SyncError", "Refused"]
    assert found[1]["lastTransitionTime"] == since and found[2]["lastTransitionTime"] != since
    assert len(found[2]["message"]) == 1024


def merge(value: Any, patch: Any) -> Any:
    """Apply a JSON merge patch as RFC 7386 defines it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), part)
    return merged


JSON = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_one_value_to_the_other(current: dict[str, Any], desired: dict[str, Any]) -> None:
    assert merge(current, status.compute_merge_patch(current, desired)) == desired
    assert status.compute_merge_patch(current, current) == {}
