"""Owner labels, and the settings in labels and annotations of objects."""

from __future__ import annotations

from gatekeeper.flux import ownership
from tests.apply.test_order import one

KUSTOMIZATION = {"metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {}}


def test_settings_are_read_from_labels_and_annotations_in_any_case() -> None:
    for field in ("labels", "annotations"):
        value = one(
            "ConfigMap", more={field: {f"{ownership.GROUP}/ssa": "iGnOrE", f"{ownership.GROUP}/prune": "Disabled"}}
        )
        owner = {"metadata": {"name": "apps", "namespace": "flux-system"}}
        [owned] = ownership.add_owner_labels([value], owner)
        assert "disables pruning" in ownership.find_keep_reason(
            owner, owned
        ) and "labels" in ownership.find_keep_reason(owner, value)
        assert not ownership.find_keep_reason(owner, ownership.add_owner_labels([one("ConfigMap")], owner)[0])


def test_objects_get_owner_labels_and_common_metadata() -> None:
    common = {"labels": {"team": "shop"}, "annotations": {"note": "n"}}
    kustomization = {**KUSTOMIZATION, "spec": {"commonMetadata": common}}
    original = one("ConfigMap", labels={"own": "1"})
    [value] = ownership.add_owner_labels([original], kustomization)
    labels = {"own": "1", "team": "shop", ownership.NAME_LABEL: "apps", ownership.NAMESPACE_LABEL: "flux-system"}
    assert value["metadata"]["labels"] == labels and value["metadata"]["annotations"] == {"note": "n"}
    assert ownership.is_owned_by(value, kustomization) and not ownership.is_owned_by(original, kustomization)
    assert original["metadata"]["labels"] == {"own": "1"}
