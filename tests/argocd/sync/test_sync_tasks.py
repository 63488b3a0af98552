"""Order of the tasks of a sync, and hooks of Argo CD and Helm."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions

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


def test_tasks_are_ordered_by_wave_then_kind_then_name() -> None:
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


def test_prune_tasks_run_in_reverse_order_or_last() -> None:
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
def test_hook_types_of_argo_cd_and_helm(
    notes: dict[str, str], hooks: tuple[str, ...], policies: tuple[str, ...]
) -> None:
    value = one("Job", **notes)
    assert sync_tasks.hook_types_of(value) == hooks and sync_tasks.delete_policies_of(value) == policies


def test_a_wave_that_is_not_a_number_is_ignored() -> None:
    assert [
        sync_tasks.wave_of(one("A", **notes))
        for notes in ({"sync_wave": "x"}, {"sync_wave": "-3"}, {"helm.sh/hook-weight": "7"})
    ] == [0, -3, 7]


def test_a_hook_with_generate_name_gets_a_name_for_each_sync() -> None:
    value = one("Job", "", hook="PreSync")
    value["metadata"] |= {"generateName": "check-", "name": None}
    [task] = sync_tasks.build_hook_tasks([value], "0123456789", 42)
    assert task.entry.name == "check-0123456-presync-42"
