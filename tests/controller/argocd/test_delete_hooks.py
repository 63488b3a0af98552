"""Finalizers of PreDelete and PostDelete hooks, and the start of a hook, against a real API server."""

from __future__ import annotations

import pytest

from gatekeeper.apply.model import AuditEvent
from gatekeeper.controller.argocd import delete_hooks
from gatekeeper.controller.argocd.finalizer import RESOURCES_FINALIZER
from gatekeeper.errors import ToolError
from gatekeeper.model import Coverage, Gap, Verdict
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import application, build_context, build_environment, config_map

FINALIZER = f"{RESOURCES_FINALIZER}/background"


def test_hooks_need_finalizers_and_lose_them_again(argocd_cluster: ArgoCluster) -> None:
    hook = config_map("hook", hook="PreDelete")
    environment = build_environment(argocd_cluster, [])
    context = build_context(environment, application(finalizers=[FINALIZER]), [config_map("x"), hook])
    pre_delete = delete_hooks.HOOK_FINALIZERS[delete_hooks.PRE_DELETE]
    needed = delete_hooks.resolve_finalizers(context)
    assert needed == [FINALIZER, pre_delete, f"{pre_delete}/cleanup"]
    assert delete_hooks.has_hook_finalizer(needed) and not delete_hooks.has_hook_finalizer([FINALIZER])
    without_hook = build_context(environment, application(finalizers=needed), [config_map("x")])
    assert delete_hooks.resolve_finalizers(without_hook) == [FINALIZER]
    assert delete_hooks.resolve_finalizers(context._replace(manifest=application(finalizers=needed))) is None


def test_a_hook_is_recorded_and_started_once_and_runs_only_if_the_gate_accepts(argocd_cluster: ArgoCluster) -> None:
    events: list[AuditEvent] = []
    value = application(deletionTimestamp="2026-01-01T00:00:00Z")
    context = build_context(build_environment(argocd_cluster, events), value, [config_map("hook", hook="PreDelete")])
    refused = Verdict(coverage=Coverage(1, 1, 0, (Gap("apps/x.yaml", "not readable", True),)))
    with pytest.raises(ToolError, match="not readable"):
        delete_hooks.run_hooks(context._replace(verdict=refused), "PreDelete")
    assert events == [] and delete_hooks.run_hooks(context, "PostDelete")
    assert not delete_hooks.run_hooks(context, "PreDelete")
    assert [(event.step, event.result.outcome.reason) for event in events] == [("apply", "Pruning")]
    # A ConfigMap has no health, so the hook is finished once it exists.
    assert delete_hooks.run_hooks(context, "PreDelete") and len(events) == 1
    argocd_cluster.delete_all("/api/v1/namespaces/prod/configmaps")
