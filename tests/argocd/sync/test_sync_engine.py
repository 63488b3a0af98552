"""Which failed dry runs keep a sync from starting."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.changes import ChangeCause, ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import sync_engine, sync_options

WIDGET: dict[str, Any] = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {"name": "a", "namespace": "prod"},
}


def failed(reason: str, cause: ChangeCause) -> ComparedObject:
    change = ObjectChange(WIDGET, "failed", reason, cause=cause)
    return ComparedObject(entry_of(WIDGET), "OutOfSync", change, None, None)


def test_skip_dry_run_excuses_a_missing_kind_and_no_other_failure() -> None:
    skip = sync_options.parse_sync_options(["SkipDryRunOnMissingResource=true"], "x")
    missing = failed("no matches for kind Widget", ChangeCause.MISSING_KIND)
    denied = failed("admission webhook denied the request: the owner label is not there", ChangeCause.NONE)
    assert sync_engine.list_refused([missing], skip) == []
    assert [one.message for one in sync_engine.list_refused([missing, denied], skip)] == [
        "admission webhook denied the request: the owner label is not there"
    ]
    assert len(sync_engine.list_refused([missing, denied], sync_options.parse_sync_options([], "x"))) == 2
