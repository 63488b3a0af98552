"""Applications of a repository against a real cluster, as a user runs it: changes are reported, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.controller.argocd import test_applications
from tests.flux.test_reconciler import Place, cluster, config
from tests.servers.cluster import Cluster

__all__ = ["cluster"]


def test_a_plan_of_applications_reports_changes_and_writes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    apps = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
    place = Place(tmp_path / "root", cluster)
    for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
        place.cluster.make(test_applications.CRDS, test_applications.definition(kind, plural))
        place.cluster.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
    place.cluster.make("/api/v1/namespaces", {"metadata": {"name": "argocd"}})
    other = test_applications.Place.__new__(test_applications.Place)
    other.root, other.cluster = place.root, place.cluster
    place.put("argo/shop.yaml", other.app("shop"), other.app("bad", source={"repoURL": "https://example.com/r"}))
    place.put("shop/all.yaml", config("s1", namespace=""), config("s2"))
    place.put("apps/all.yaml", config("x"))
    code, out, _ = place.run("--plan", "--name", "argocd/shop")
    assert code == 1 and "ComparisonError: AppProject argocd/default not found" in out
    place.cluster.make(f"{apps}/appprojects", test_applications.project())
    code, out, _ = place.run("--plan")
    assert code == 1 and "flux-system/apps: ReconciliationSucceeded" in out
    assert "argocd/bad: InvalidSpecError: `spec.source` is missing, or needs a `path` or a `chart`" in out
    assert "argocd/shop: OutOfSync: a sync would change it\n  creates   ConfigMap prod/s1" in out
    assert place.data("s1") is None
    folder = tmp_path / "rendered"
    code, out, err = place.run("--to", folder)
    assert code == 0 and "bad: `spec.source`" in err and "2 objects" in out
    assert [one["metadata"]["name"] for one in yaml.safe_load_all((folder / "argocd-shop.yaml").read_text())] == [
        "s1",
        "s2",
    ]
    _check_approval(place, apps, other)
    place.put("shop/all.yaml", {**config("s1"), "dataa": {}})
    code, out, _ = place.run("--plan", "--name", "argocd/shop")
    assert code == 1 and "argocd/shop: Refused: shop/all.yaml:" in out
    for path in (f"{apps}/appprojects", "/api/v1/namespaces/argocd"):
        place.cluster.ask("DELETE", path)


def _check_approval(place: Place, apps: str, other: test_applications.Place) -> None:
    """A prune beyond the budget is held, unless the annotation in the cluster or the flag approves this revision."""
    names = [f"p{number}" for number in range(4)]
    for name in names:
        tracking = {"argocd.argoproj.io/tracking-id": f"shop:/ConfigMap:prod/{name}"}
        value = config(name)
        value["metadata"]["annotations"] = tracking
        place.cluster.make("/api/v1/namespaces/prod/configmaps", value)
    entries: list[dict[str, Any]] = [
        {"version": "v1", "kind": "ConfigMap", "namespace": "prod", "name": name} for name in names
    ]
    place.cluster.make(f"{apps}/applications", {**other.app("shop"), "status": {"resources": entries}})
    plan = ("--plan", "--name", "argocd/shop")
    commit = place.revision.rpartition(":")[2]
    code, out, _ = place.run(*plan)
    hint = f"to approve it, annotate the Application with `gatekeeper-gitops.io/approved-revision={commit}`"
    assert code == 1 and "argocd/shop: PruneHeld: 4 of 4 objects would be deleted" in out and hint in out
    out = place.run(*plan, "--approve", place.revision)[1]
    assert "argocd/shop: OutOfSync" in out and out.count("deletes   ConfigMap prod/p") == 4
    for approved, reason in (("f" * 40, "PruneHeld"), (commit, "OutOfSync")):
        change = {"metadata": {"annotations": {"gatekeeper-gitops.io/approved-revision": approved}}}
        assert place.cluster.ask("PATCH", f"{apps}/applications/shop", change)[0] == 200
        assert f"argocd/shop: {reason}" in place.run(*plan)[1]
