"""Several replicas at once: each has its part of the sources, and at midnight everything is checked again."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster import client
from gatekeeper.controller.flux.context import FluxOptions
from gatekeeper.controller.flux.controller import FluxController
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.flux import build as flux_build
from gatekeeper.model import NamespacedName
from tests.controller.argocd import test_applications
from tests.controller.deployment import Running, controller, until
from tests.controller.flux.test_controller import CRDS, KUSTOMIZATIONS, MAPS, REPOSITORIES, Place
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

MANY = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for one in (CRD, SOURCES):
            found.make(CRDS, one)
        for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories"):
            found.wait(path)
        for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
            found.make(CRDS, test_applications.definition(kind, plural))
            found.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
        for name in ("flux-system", "prod", "argocd"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        yield found


def worked_on(running: Running, kind: str) -> set[str]:
    """The events that a replica has written."""
    return {str(one["object"]) for one in running.said(controller=kind)}


def test_replicas_divide_the_sources_and_the_last_one_takes_over_all(cluster: Cluster, tmp_path: Path) -> None:
    places = [Place(tmp_path / f"r{number}", cluster) for number in range(MANY)]
    other = test_applications.Place(tmp_path / "argo", cluster)
    cluster.make(test_applications.PROJECTS, test_applications.project())
    for number, place in enumerate(places):
        place.put("apps/all.yaml", config(f"x{number}"))
        other.put(f"a{number}/all.yaml", config(f"y{number}"))
        other.commit()
        branch = ["git", "-C", str(other.root), "branch", "-f", f"b{number}"]
        subprocess.run(branch, check=True)
    run = ("--controllers", "flux,argo", "--shards", "2", "-n", "prod")
    with controller(cluster, tmp_path, *run) as one, controller(cluster, tmp_path, *run, name="two") as two:
        until(lambda: len(one.said(message="lease acquired")) + len(two.said(message="lease acquired")) >= 2, one)
        until(lambda: bool(two.said(message="lease acquired")), two)
        for number, place in enumerate(places):
            meta = {"name": f"r{number}", "namespace": "flux-system"}
            cluster.make(REPOSITORIES, {**place.source, "metadata": meta})
            value = flux(sourceRef={"kind": "GitRepository", "name": f"r{number}"})
            value["metadata"]["name"] = f"k{number}"
            cluster.make(KUSTOMIZATIONS, value)
            app = other.app(f"a{number}")
            app["spec"]["source"]["targetRevision"] = f"b{number}"
            cluster.make(test_applications.APPS, app)
        until(lambda: all(place.ready(f"k{number}")[0] == "True" for number, place in enumerate(places)), one)
        until(lambda: all(other.state(f"a{number}")[0] == "Synced" for number in range(MANY)), two)
        for kind in ("Kustomization", "Application"):
            parts = [worked_on(running, kind) for running in (one, two)]
            assert all(parts) and not parts[0] & parts[1] and len(parts[0] | parts[1]) == MANY
        # One is gone: the other takes its share.
        assert one.stop() == 0
        for number in range(MANY):
            cluster.ask("DELETE", f"{MAPS}/x{number}")
        until(lambda: all(place.data(f"x{number}") for number, place in enumerate(places)), two)


def test_everything_is_checked_again_after_midnight(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiver that expired yesterday no longer applies, although nothing in Git changed."""
    place = Place(tmp_path / "night", cluster)
    today = datetime.date.today()
    (place.root / "policy").mkdir()
    policy = 'package main\n\ndeny contains "not at night" if input.metadata.name == "late"\n'
    (place.root / "policy/main.rego").write_text(policy)
    place.put("gatekeeper.yaml", {"library": {"profile": "off"}, "policies": {"paths": ["policy"]}})
    waiver = {"rule": "*", "reason": "so far", "expires": today.isoformat()}
    place.put("waivers.yaml", {"waivers": [waiver]})
    place.put("apps/all.yaml", config("late"))
    days = [today]

    class Clock(datetime.date):
        @classmethod
        def today(cls) -> Any:
            return days[0]

    monkeypatch.setattr(datetime, "date", Clock)
    meta = {"name": "night", "namespace": "flux-system"}
    cluster.make(REPOSITORIES, {**place.source, "metadata": meta})
    value = flux(sourceRef={"kind": "GitRepository", "name": "night"})
    value["metadata"]["name"] = "night"
    cluster.make(KUSTOMIZATIONS, value)
    with client.connect(cluster.kubeconfig) as opened:
        flux_ = FluxController(
            opened,
            FluxOptions(PruneBudget(), flux_build.check_commit, storage_dir=tmp_path / "kept"),
            lambda name: name.endswith("night"),
            lambda act: None,
            Metrics(),
        )
        flux_.component.start()
        try:
            until(lambda: place.ready("night")[0] == "True")
            days[0] = today + datetime.timedelta(days=1)
            flux_.repository_worker.add(NamespacedName("flux-system", "night"))
            until(lambda: place.ready("night")[1] == "Refused")
            assert "not at night" in place.ready("night")[2] and place.data("late") == {"a": "1"}
        finally:
            assert flux_.component.stop(20)
