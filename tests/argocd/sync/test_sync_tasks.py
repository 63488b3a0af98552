"""In which order a sync does what; and to whom objects belong."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.resource_tracking import TrackingSettings
from gatekeeper.argocd.sync import sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.errors import SpecError

PREFIX = "argocd.argoproj.io"


def one(kind: str, name: str = "x", namespace: str = "a", **notes: str) -> dict[str, Any]:
    annotations = {(key if "/" in key else f"{PREFIX}/{key.replace('_', '-')}"): text for key, text in notes.items()}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def wanted(value: dict[str, Any]) -> ComparedObject:
    return ComparedObject(entry_of(value), "OutOfSync", ObjectChange(value, "create"), None, None)


def going(value: dict[str, Any]) -> ComparedObject:
    return ComparedObject(entry_of(value), "OutOfSync", None, value, None)


def shown(found: list[sync_tasks.SyncTask]) -> list[str]:
    return [
        f"{'-' if task.value is None else '+'}{task.entry.kind} {task.entry.name}"
        for task in sync_tasks.sort_tasks(found)
    ]


def test_waves_count_before_kinds_and_kinds_before_names() -> None:
    items = [
        wanted(one(*each))
        for each in (
            ("Service", "b"),
            ("Service", "a"),
            ("Deployment", "d"),
            ("Widget", "w"),
            ("CustomResourceDefinition", "c"),
        )
    ]
    items += [wanted(one("Job", "first", sync_wave="-5")), wanted(one("Namespace", "last", sync_wave="2"))]
    assert shown(sync_tasks.build_object_tasks(items, SyncOptions(), True)) == [
        "+Job first",
        "+CustomResourceDefinition c",
        "+Service a",
        "+Service b",
        "+Deployment d",
        "+Widget w",
        "+Namespace last",
    ]


def test_what_came_last_goes_first_and_after_all_where_that_is_asked_for() -> None:
    items = [
        going(one("ConfigMap", "a")),
        going(one("ConfigMap", "b", sync_wave="1")),
        going(one("ConfigMap", "c", sync_wave="2")),
    ]
    items.append(wanted(one("ConfigMap", "new", sync_wave="1")))
    assert shown(sync_tasks.build_object_tasks(items, SyncOptions(), True)) == [
        "-ConfigMap c",
        "-ConfigMap b",
        "+ConfigMap new",
        "-ConfigMap a",
    ]
    last = sync_options.parse_sync_options(["PruneLast=true"], "x")
    assert shown(sync_tasks.build_object_tasks(items, last, True))[0] == "+ConfigMap new"
    assert shown(sync_tasks.build_object_tasks(items, last, False)) == ["+ConfigMap new"]


@pytest.mark.parametrize(
    ("notes", "hooks", "policies"),
    [
        ({}, (), ("BeforeHookCreation",)),
        ({"hook": "PreSync, PostSync"}, ("PreSync", "PostSync"), ("BeforeHookCreation",)),
        ({"hook": "Sync", "hook_delete_policy": "HookFailed"}, ("Sync",), ("HookFailed",)),
        ({"helm.sh/hook": "pre-install,pre-upgrade"}, ("PreSync",), ("BeforeHookCreation",)),
        (
            {"helm.sh/hook": "post-upgrade", "helm.sh/hook-delete-policy": "hook-succeeded"},
            ("PostSync",),
            ("HookSucceeded",),
        ),
        ({"helm.sh/hook": "test"}, ("Skip",), ("BeforeHookCreation",)),
        ({"helm.sh/hook": "pre-rollback"}, ("Skip",), ("BeforeHookCreation",)),
        ({"hook": "PostSync", "helm.sh/hook": "pre-install"}, ("PostSync",), ("BeforeHookCreation",)),
    ],
)
def test_hooks_are_those_of_argo_cd_and_of_helm(
    notes: dict[str, str], hooks: tuple[str, ...], policies: tuple[str, ...]
) -> None:
    value = one("Job", **notes)
    assert sync_tasks.hook_types_of(value) == hooks and sync_tasks.delete_policies_of(value) == policies


def test_a_wave_is_a_number_or_none() -> None:
    assert [
        sync_tasks.wave_of(one("A", **notes))
        for notes in ({"sync_wave": "x"}, {"sync_wave": "-3"}, {"helm.sh/hook-weight": "7"})
    ] == [0, -3, 7]


def test_a_hook_without_a_name_gets_one_for_each_sync() -> None:
    value = one("Job", "", hook="PreSync")
    value["metadata"] |= {"generateName": "check-", "name": None}
    [task] = sync_tasks.build_hook_tasks([value], "0123456789", 42)
    assert task.entry.name == "check-0123456-presync-42"


def test_an_object_says_what_counts_for_it_before_what_is_said_for_all() -> None:
    general = sync_options.parse_sync_options(["Prune=false", "Replace=true"], "x")
    own = general.for_object(one("ConfigMap", sync_options="Prune=confirm, Force=true"))
    assert (own.get("Prune"), own.is_enabled("Replace"), own.is_enabled("Force"), own.get("Delete")) == (
        "confirm",
        True,
        True,
        "true",
    )
    assert SyncOptions().for_object(one("ConfigMap", **{"helm.sh/resource-policy": "keep"})).get("Prune") == "false"
    for wrong in ("Prune=maybe", "Nothing=true", "Prune"):
        with pytest.raises(SpecError, match=r"(unknown|invalid) sync option"):
            sync_options.parse_sync_options([wrong], "x")


@pytest.mark.parametrize("method", ["annotation", "label", "annotation+label"])
def test_an_object_belongs_to_whom_it_is_marked_for(method: Any) -> None:
    mark = TrackingSettings(method)
    value = resource_tracking.mark_object(mark, "shop", one("ConfigMap"), "a")
    assert (
        resource_tracking.find_owner(mark, value) == "shop"
        and resource_tracking.find_owner(mark, one("ConfigMap")) == ""
    )


def test_what_was_copied_with_its_mark_belongs_to_nobody() -> None:
    value = resource_tracking.mark_object(TrackingSettings(), "shop", one("ConfigMap"), "a")
    for field, text in (("name", "copy"), ("namespace", "b")):
        assert (
            resource_tracking.find_owner(TrackingSettings(), {**value, "metadata": {**value["metadata"], field: text}})
            == ""
        )
    assert resource_tracking.find_owner(TrackingSettings(), {**value, "kind": "Secret"}) == ""
    other = TrackingSettings(installation_id="one")
    assert (
        resource_tracking.find_owner(other, value) == ""
        and resource_tracking.find_owner(other, resource_tracking.mark_object(other, "shop", value, "a")) == "shop"
    )


def test_what_is_in_no_namespace_is_marked_with_that_of_the_destination() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    value = resource_tracking.mark_object(TrackingSettings(), "shop", role, "prod")
    assert (
        value["metadata"]["annotations"][resource_tracking.TRACKING_ID]
        == "shop:rbac.authorization.k8s.io/ClusterRole:prod/r"
    )
    assert resource_tracking.find_owner(TrackingSettings(), value) == "shop"
