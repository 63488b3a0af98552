"""In which order a sync does what; and to whom objects belong."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.server_side_apply import Change
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.model import Item
from gatekeeper.argocd.resource_tracking import Tracking
from gatekeeper.argocd.sync import sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.errors import SealError

PREFIX = "argocd.argoproj.io"


def one(kind: str, name: str = "x", namespace: str = "a", **notes: str) -> dict[str, Any]:
    annotations = {(key if "/" in key else f"{PREFIX}/{key.replace('_', '-')}"): text for key, text in notes.items()}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def wanted(value: dict[str, Any]) -> Item:
    return Item(entry_of(value), "OutOfSync", Change(value, "create"), None, None)


def going(value: dict[str, Any]) -> Item:
    return Item(entry_of(value), "OutOfSync", None, value, None)


def shown(found: list[sync_tasks.Task]) -> list[str]:
    return [
        f"{'-' if task.value is None else '+'}{task.entry.kind} {task.entry.name}" for task in sync_tasks.ordered(found)
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
    assert shown(sync_tasks.of_items(items, Options(), True)) == [
        "+Job first", "+CustomResourceDefinition c", "+Service a", "+Service b", "+Deployment d", "+Widget w", "+Namespace last",
    ]  # fmt: skip


def test_what_came_last_goes_first_and_after_all_where_that_is_asked_for() -> None:
    items = [
        going(one("ConfigMap", "a")),
        going(one("ConfigMap", "b", sync_wave="1")),
        going(one("ConfigMap", "c", sync_wave="2")),
    ]
    items.append(wanted(one("ConfigMap", "new", sync_wave="1")))
    assert shown(sync_tasks.of_items(items, Options(), True)) == [
        "-ConfigMap c",
        "-ConfigMap b",
        "+ConfigMap new",
        "-ConfigMap a",
    ]
    last = sync_options.read(["PruneLast=true"], "x")
    assert shown(sync_tasks.of_items(items, last, True))[0] == "+ConfigMap new"
    assert shown(sync_tasks.of_items(items, last, False)) == ["+ConfigMap new"]


@pytest.mark.parametrize(
    ("notes", "hooks", "policies"),
    [
        ({}, (), ("BeforeHookCreation",)), ({"hook": "PreSync, PostSync"}, ("PreSync", "PostSync"), ("BeforeHookCreation",)),
        ({"hook": "Sync", "hook_delete_policy": "HookFailed"}, ("Sync",), ("HookFailed",)),
        ({"helm.sh/hook": "pre-install,pre-upgrade"}, ("PreSync",), ("BeforeHookCreation",)),
        ({"helm.sh/hook": "post-upgrade", "helm.sh/hook-delete-policy": "hook-succeeded"}, ("PostSync",), ("HookSucceeded",)),
        ({"helm.sh/hook": "test"}, ("Skip",), ("BeforeHookCreation",)), ({"helm.sh/hook": "pre-rollback"}, ("Skip",), ("BeforeHookCreation",)),
        ({"hook": "PostSync", "helm.sh/hook": "pre-install"}, ("PostSync",), ("BeforeHookCreation",)),
    ],
)  # fmt: skip
def test_hooks_are_those_of_argo_cd_and_of_helm(
    notes: dict[str, str], hooks: tuple[str, ...], policies: tuple[str, ...]
) -> None:
    value = one("Job", **notes)
    assert sync_tasks.hooks_of(value) == hooks and sync_tasks.policies_of(value) == policies


def test_a_wave_is_a_number_or_none() -> None:
    assert [
        sync_tasks.wave_of(one("A", **notes))
        for notes in ({"sync_wave": "x"}, {"sync_wave": "-3"}, {"helm.sh/hook-weight": "7"})
    ] == [0, -3, 7]


def test_a_hook_without_a_name_gets_one_for_each_sync() -> None:
    value = one("Job", "", hook="PreSync")
    value["metadata"] |= {"generateName": "check-", "name": None}
    [task] = sync_tasks.of_hooks([value], "0123456789", 42)
    assert task.entry.name == "check-0123456-presync-42"


def test_an_object_says_what_counts_for_it_before_what_is_said_for_all() -> None:
    general = sync_options.read(["Prune=false", "Replace=true"], "x")
    own = general.of(one("ConfigMap", sync_options="Prune=confirm, Force=true"))
    assert (own.get("Prune"), own.has("Replace"), own.has("Force"), own.get("Delete")) == (
        "confirm",
        True,
        True,
        "true",
    )
    assert Options().of(one("ConfigMap", **{"helm.sh/resource-policy": "keep"})).get("Prune") == "false"
    for wrong in ("Prune=maybe", "Nothing=true", "Prune"):
        with pytest.raises(SealError, match="is not known"):
            sync_options.read([wrong], "x")


@pytest.mark.parametrize("method", ["annotation", "label", "annotation+label"])
def test_an_object_belongs_to_whom_it_is_marked_for(method: Any) -> None:
    mark = Tracking(method)
    value = resource_tracking.marked(mark, "shop", one("ConfigMap"), "a")
    assert resource_tracking.owner(mark, value) == "shop" and resource_tracking.owner(mark, one("ConfigMap")) == ""


def test_what_was_copied_with_its_mark_belongs_to_nobody() -> None:
    value = resource_tracking.marked(Tracking(), "shop", one("ConfigMap"), "a")
    for field, text in (("name", "copy"), ("namespace", "b")):
        assert resource_tracking.owner(Tracking(), {**value, "metadata": {**value["metadata"], field: text}}) == ""
    assert resource_tracking.owner(Tracking(), {**value, "kind": "Secret"}) == ""
    other = Tracking(installation="one")
    assert (
        resource_tracking.owner(other, value) == ""
        and resource_tracking.owner(other, resource_tracking.marked(other, "shop", value, "a")) == "shop"
    )


def test_what_is_in_no_namespace_is_marked_with_that_of_the_destination() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    value = resource_tracking.marked(Tracking(), "shop", role, "prod")
    assert value["metadata"]["annotations"][resource_tracking.ID] == "shop:rbac.authorization.k8s.io/ClusterRole:prod/r"
    assert resource_tracking.owner(Tracking(), value) == "shop"
