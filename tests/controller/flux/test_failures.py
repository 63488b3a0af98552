"""Failure modes: applied objects stay, missed changes are caught up, nothing is applied or deleted by mistake."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import ApiStatusError, DynamicClient, Kind
from gatekeeper.cluster.reflector import GONE, Reflector
from gatekeeper.model import NamespacedName
from tests.controller.deployment import controller, until
from tests.controller.flux.test_controller import CRDS, KUSTOMIZATIONS, MAPS, REPOSITORIES, Place
from tests.controller.install.test_manifests import as_account, printed
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers.cluster import Machine
from tests.servers.network_partition import line

CONFIGS = Kind("v1", "configmaps", True)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/prod/leases"
ANYTHING = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
REJECTED = "apiserver_flowcontrol_rejected_requests_total"
FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with servers.machine(tmp_path_factory.mktemp("cluster")) as found:
        for one in (CRD, SOURCES):
            found.cluster.make(CRDS, one)
        for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories"):
            found.cluster.wait(path)
        for name in ("flux-system", "prod", "gatekeeper-gitops"):
            found.cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
        yield found


@pytest.fixture
def place(machine: Machine, tmp_path: Path) -> Iterator[Place]:
    cluster = machine.cluster
    found = Place(tmp_path / "root", cluster)
    found.put("apps/all.yaml", config("x"), config("w"))
    cluster.make(REPOSITORIES, found.source)
    cluster.make(KUSTOMIZATIONS, flux(retryInterval="1s"))
    yield found
    for path in (KUSTOMIZATIONS, REPOSITORIES):
        for one in cluster.ask("GET", path)[1]["items"]:
            cluster.ask("PATCH", f"{path}/{one['metadata']['name']}", {"metadata": {"finalizers": None}})
        cluster.ask("DELETE", path)
    for path in ("/api/v1/namespaces/flux-system/events", MAPS, LEASES):
        cluster.ask("DELETE", path)


def ids(place: Place) -> set[str]:
    value = place.cluster.ask("GET", f"{KUSTOMIZATIONS}/apps")[1]
    return {one["id"] for one in value["status"]["inventory"]["entries"]}


def test_reconciliation_resumes_after_api_server_outage(machine: Machine, place: Place, tmp_path: Path) -> None:
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.ready()[0] == "True", running)
        machine.stop()
        place.put("apps/all.yaml", config("x", "2"), config("w"))
        time.sleep(3)
        machine.start()
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "2"}, running)
        # It watches again: drift is seen.
        until(lambda: place.ready()[0] == "True", running)
        time.sleep(1)
        place.cluster.ask("DELETE", f"{MAPS}/w")
        until(lambda: place.data("w") == {"a": "1"}, running)
        assert place.data("x") == {"a": "2"}


def test_etcd_outage_deletes_nothing(machine: Machine, place: Place, tmp_path: Path) -> None:
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.ready()[0] == "True", running)
        before = place.cluster.ask("GET", f"{MAPS}/x")[1]["metadata"]["uid"]
        machine.etcd.send_signal(signal.SIGSTOP)
        try:
            place.put("apps/all.yaml", config("x", "2"), config("w"))
            time.sleep(60)
        finally:
            machine.etcd.send_signal(signal.SIGCONT)
        until(lambda: _nudged(place), running)
        until(lambda: place.data("x") == {"a": "2"} and place.data("w") == {"a": "1"}, running, 60)
        # The same object: it was changed, and not deleted and created again.
        assert place.cluster.ask("GET", f"{MAPS}/x")[1]["metadata"]["uid"] == before


def _nudged(place: Place) -> bool:
    try:
        place.nudge(f"{REPOSITORIES}/r")
    except (OSError, AssertionError):
        return False
    return True


def test_killed_apply_leaves_no_untracked_objects(place: Place, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(120)]
    place.put("apps/all.yaml", *map(config, names))
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.data(names[3]) is not None, running)
        running.process.kill()
        running.process.wait(10)
    there = {one["metadata"]["name"] for one in place.cluster.ask("GET", MAPS)[1]["items"]} & set(names)
    assert {f"prod_{name}__ConfigMap" for name in there} <= ids(place)
    # What was half there, and is not in Git any more, goes; that much only once it is approved.
    commit = place.put("apps/all.yaml", config("n0"))
    mark = {"metadata": {"annotations": {"gatekeeper-gitops.io/approved-revision": f"main@sha1:{commit}"}}}
    place.cluster.ask("PATCH", f"{KUSTOMIZATIONS}/apps", mark)
    with controller(place.cluster, tmp_path, "-n", "prod", name="two") as running:
        until(lambda: ids(place) == {"prod_n0__ConfigMap"}, running)
        left = {one["metadata"]["name"] for one in place.cluster.ask("GET", MAPS)[1]["items"]}
        assert left & set(names) == {"n0"}


def test_partitioned_replica_stops_and_another_takes_over(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    with line(cluster.url) as wire:
        value = yaml.safe_load(cluster.kubeconfig.read_text())
        value["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{wire.port}"
        (tmp_path / "cut.yaml").write_text(yaml.safe_dump(value))
        near = cluster._replace(kubeconfig=tmp_path / "cut.yaml")
        with controller(near, tmp_path, "-n", "prod") as first:
            until(lambda: place.ready()[0] == "True", first)
            with controller(cluster, tmp_path, "-n", "prod", name="two") as second:
                wire.cut()
                until(lambda: bool(first.said(message="lease lost")), first)
                until(lambda: bool(second.said(message="lease acquired")), second)
                place.put("apps/all.yaml", config("x", "2"), config("w"))
                place.nudge(f"{REPOSITORIES}/r")
                until(lambda: place.data("x") == {"a": "2"}, second)
                wire.mend()
                # It sees again what happens, and leaves it to the other.
                cluster.ask("DELETE", f"{MAPS}/w")
                until(lambda: place.data("w") == {"a": "1"}, second)
                assert len(first.said(message="lease acquired")) == 1
                lost, got = first.said(message="lease lost")[0], second.said(message="lease acquired")[0]
                assert str(lost["time"]) <= str(got["time"])


def test_lease_expiry_uses_the_local_clock(place: Place, tmp_path: Path) -> None:
    for holder, when in (("past", "2001-01-01T00:00:00.000000Z"), ("future", "2101-01-01T00:00:00.000000Z")):
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 6, "renewTime": when}
        place.cluster.make(LEASES, {"metadata": {"name": "gatekeeper"}, "spec": spec})
        began = time.monotonic()
        with controller(place.cluster, tmp_path, "-n", "prod", name=holder) as running:
            until(lambda: bool(running.said(message="lease acquired")), running)
            assert 6 <= time.monotonic() - began < 15
        place.cluster.ask("DELETE", LEASES)


def test_throttled_requests_are_retried_within_the_timeout(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    # One at a time is let in, and four are sent.
    cluster.ask("PATCH", f"{KUSTOMIZATIONS}/apps", {"spec": {"suspend": True}})
    for value in printed("--controllers", "flux"):
        if value["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
            root = RIGHTS if "rbac" in value["apiVersion"] else "/api/v1"
            space = value["metadata"].get("namespace")
            cluster.make(f"{root}{f'/namespaces/{space}' if space else ''}/{value['kind'].lower()}s", value)
    # It applies with its own rights here.
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]
    cluster.make(f"{RIGHTS}/clusterroles", {"metadata": {"name": "own"}, "rules": rules})
    who = {"kind": "ServiceAccount", "name": "gatekeeper-gitops", "namespace": "gatekeeper-gitops"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "own"}
    cluster.make(f"{RIGHTS}/clusterrolebindings", {"metadata": {"name": "own"}, "roleRef": ref, "subjects": [who]})
    level = {
        "type": "Limited",
        "limited": {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}},
    }
    cluster.make(f"{FLOWS}/prioritylevelconfigurations", {"metadata": {"name": "none"}, "spec": level})
    what = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "namespaces": ["prod"]}]
    subject = {
        "kind": "ServiceAccount",
        "serviceAccount": {"name": "gatekeeper-gitops", "namespace": "gatekeeper-gitops"},
    }
    flow = {
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": {"name": "none"},
        "rules": [{"resourceRules": what, "subjects": [subject]}],
    }
    cluster.make(f"{FLOWS}/flowschemas", {"metadata": {"name": "none"}, "spec": flow})
    place.put("apps/all.yaml", *(config(f"m{number}") for number in range(60)))
    with controller(as_account(cluster, tmp_path), tmp_path, "-n", "gatekeeper-gitops") as running:
        cluster.ask("PATCH", f"{KUSTOMIZATIONS}/apps", {"spec": {"suspend": False}})
        until(lambda: place.ready()[0] == "True" and place.data("m59") == {"a": "1"}, running)
        assert not running.said(controller="Kustomization", level="error")
    text = cluster.ask("GET", "/metrics")[1].decode()
    refused = [line for line in text.splitlines() if line.startswith(REJECTED) and 'flow_schema="none"' in line]
    assert sum(float(line.split()[-1]) for line in refused) > 0
    cluster.ask("DELETE", f"{FLOWS}/flowschemas/none")
    cluster.ask("DELETE", f"{FLOWS}/prioritylevelconfigurations/none")


READ_FROM: list[DynamicClient] = []


def test_watch_with_an_expired_resource_version_lists_again(machine: Machine, place: Place) -> None:
    cluster = place.cluster
    # What was before it began it does not remember.
    machine.stop()
    machine.start()
    cluster.wait(KUSTOMIZATIONS)
    cluster.wait(REPOSITORIES)
    cluster.make(MAPS, config("before"))
    told: list[tuple[Any, Any, Any]] = []
    asks = client.open_client(cluster.kubeconfig)
    watch = Reflector(asks, CONFIGS, lambda value: value["metadata"]["name"], lambda *one: told.append(one))
    with pytest.raises(ApiStatusError) as refused:
        watch._version = "1"
        watch._watch()
    assert refused.value.code == GONE
    # As a watch that was away for too long: it begins where nothing is known any more.
    real, first = watch._list, ["1"]
    watch._list = lambda: first.pop() if first else real()  # type: ignore[method-assign]
    watch._version = ""
    watch.start()
    assert watch.is_synced.wait(20) and watch.get(NamespacedName("prod", "before")) == "before"
    cluster.make(MAPS, config("after"))
    until(lambda: watch.get(NamespacedName("prod", "after")) == "after")
    cluster.ask("DELETE", f"{MAPS}/before")
    until(lambda: watch.get(NamespacedName("prod", "before")) is None)
    assert (("prod", "before"), "before", None) in told
    watch.stop()
    # It may still be reading, and ends with the server: what it reads from is not closed under it.
    READ_FROM.append(asks)


def test_a_git_host_that_is_missing_or_has_lost_its_branch_changes_nothing(place: Place, tmp_path: Path) -> None:
    root, away = place.root, tmp_path / "away"

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)

    def source() -> str:
        value = place.cluster.ask("GET", f"{REPOSITORIES}/r")[1]
        return str(value["status"]["conditions"][0]["status"])

    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.ready()[0] == "True", running)
        root.rename(away)
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: source() == "False", running)
        assert place.data("x") == {"a": "1"}
        away.rename(root)
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: source() == "True", running)
        git("branch", "-m", "main", "other")
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: source() == "False", running)
        assert place.data("x") == {"a": "1"} and place.data("w") == {"a": "1"}
        # Another history under the same name.
        git("checkout", "-q", "--orphan", "main")
        place.put("apps/all.yaml", config("x", "forced"), config("w"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "forced"} and source() == "True", running)


def test_a_poisoned_repository_is_not_applied_and_stops_no_other(place: Place, tmp_path: Path) -> None:
    bad = Place(tmp_path / "bad", place.cluster)
    bad.put("apps/all.yaml", config("poison"))
    (bad.root / "apps" / "link.yaml").symlink_to("/etc/passwd")
    remote = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    bad.put("remote/kustomization.yaml", {**remote, "resources": ["https://example.com/base?ref=v1"]})
    bad.put("bomb/all.yaml", config("b"))
    text = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{k}: &{k} [{','.join([f'*{j}'] * 9)}]\n" for j, k in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (bad.root / "bomb" / "bomb.yaml").write_text(text)
    bad.put("note.yaml", config("note"))
    source = {**bad.source, "metadata": {"name": "bad", "namespace": "flux-system"}}
    ref = {"kind": "GitRepository", "name": "bad"}
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        place.cluster.make(REPOSITORIES, source)
        for name in ("apps", "remote", "bomb"):
            value = flux(name, sourceRef=ref)
            value["metadata"]["name"] = f"bad-{name}"
            place.cluster.make(KUSTOMIZATIONS, value)
        until(lambda: all(place.ready(f"bad-{name}")[0] == "False" for name in ("apps", "remote", "bomb")), running)
        until(lambda: place.ready()[0] == "True", running)
        assert place.data("poison") is None and "root:" not in running.log.read_text()


def test_a_kustomization_that_would_prune_itself_waits_until_that_is_approved(place: Place, tmp_path: Path) -> None:
    own = flux()
    own["spec"] |= {"retryInterval": "1s"}
    place.put("source.yaml", place.source)
    place.put("apps/all.yaml", own, config("x"), config("w"), config("v"))
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.ready()[0] == "True" and place.data("v") is not None, running)
        assert "flux-system_apps_kustomize.toolkit.fluxcd.io_Kustomization" in ids(place)
        place.put("apps/all.yaml", config("x"), config("w"), config("v"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.ready()[1] == "PruneHeld", running)
        assert "Kustomization flux-system/apps is of a protected kind (Kustomization)" in place.ready()[
            2
        ] and place.data("x")


def test_deleted_crd_does_not_block_the_prune(place: Place, tmp_path: Path) -> None:
    names = {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": ANYTHING}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": spec,
    }
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "prod"}}
    place.put("crds/crd.yaml", kind)
    place.cluster.make(CRDS, kind)
    place.cluster.wait("/apis/example.com/v1/things")
    place.put("apps/all.yaml", thing, config("x"), config("w"))
    with controller(place.cluster, tmp_path, "-n", "prod") as running:
        until(lambda: place.ready()[0] == "True", running)
        place.cluster.ask("DELETE", f"{CRDS}/things.example.com")
        until(lambda: place.cluster.ask("GET", "/apis/example.com/v1/things")[0] == 404, running)
        place.put("apps/all.yaml", config("x", "2"), config("w"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "2"} and place.ready()[0] == "True", running)
        assert not any("Thing" in one for one in ids(place))


def test_applied_objects_stay_if_commits_cannot_be_stored(place: Place, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    with controller(place.cluster, tmp_path, "-n", "prod", "--storage-path", blocked) as running:
        until(lambda: bool(running.said(level="error")), running)
        assert place.data("x") is None and running.ask("/healthz")[0] == 200
        assert not [one for one in running.said() if "internal error" in str(one["message"])]
