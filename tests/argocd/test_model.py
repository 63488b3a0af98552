"""What an Application applies, and how its objects compare."""

from __future__ import annotations

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.model import SYNC_PHASES, ComparedObject

ENTRY = InventoryEntry("prod", "a", "", "ConfigMap", "v1")
VALUE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "prod"}}


def test_only_an_object_that_is_no_longer_desired_can_be_pruned() -> None:
    assert ComparedObject(ENTRY, "OutOfSync", None, VALUE, None).should_prune
    for action in ("create", "unchanged", "failed"):
        change = ObjectChange(VALUE, action)
        assert not ComparedObject(ENTRY, "OutOfSync", change, None, None).should_prune


def test_the_phases_of_a_sync_are_in_the_order_of_argo_cd() -> None:
    assert SYNC_PHASES == ("PreSync", "Sync", "PostSync", "SyncFail")
