"""The part of `make bench` on reconciling: the controller on many Kustomizations, against a real API server."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.controller.argocd import test_applications
from tests.controller.deployment import Running, controller, until
from tests.controller.flux.test_controller import CRDS, HOOKS, KUSTOMIZATIONS, MAPS, RECEIVERS, REPOSITORIES
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

SAMPLES, IDLE_SECONDS = 20, 20.0
# What Flux has published for a thousand, on a larger machine.
FLUX_SECONDS = 253


def lines(gatekeeper: Path) -> list[str]:
    """What there is to say of it, a line each."""
    del gatekeeper
    return [_many(1000, 4), _watched(100, 100), _hooked(20), _applications(1000, 4)]


@contextmanager
def _filled(count: int, objects: int) -> Iterator[tuple[Cluster, Path, Path]]:
    """A cluster with Kustomizations, and the repository that they apply; nothing names it yet."""
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch) / "root", Path(scratch) / "cluster"
        folder.mkdir()
        wanted = [flux(f"k{number}", wait=True, interval="1h") for number in range(count)]
        _write(root, wanted, objects)
        with servers.running(folder) as cluster:
            for one in (CRD, SOURCES, RECEIVERS):
                cluster.make(CRDS, one)
            for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories", f"{HOOKS}/receivers"):
                cluster.wait(path)
            for name in ("flux-system", "prod"):
                cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
            for one in wanted:
                cluster.make(KUSTOMIZATIONS, one)
            yield cluster, root, Path(scratch)


def _many(count: int, objects: int) -> str:
    with _filled(count, objects) as (cluster, root, scratch), controller(cluster, scratch) as running:
        seconds = _ready(cluster, root, count, running)
        judging = float(re.search(rb"gatekeeper_judging_seconds_sum\S* (\S+)", running.ask("/metrics")[1])[1])  # type: ignore[index]
        peak = _megabytes(running)
        # What was stored last comes to rest first.
        time.sleep(10)
        before = _cpu(running)
        time.sleep(IDLE_SECONDS)
        idle = (_cpu(running) - before) / IDLE_SECONDS
        drift = [_healed(cluster, number) for number in range(SAMPLES)]
    return (
        f"{count:,} Kustomizations with {objects} objects each, from a new commit until all are Ready, on the same two cores as "
        f"the API server: {seconds:.0f} s, {peak} MB, {judging / seconds:.0%} of it for checking (Flux has published "
        f"{FLUX_SECONDS} s, on a larger machine). Idle: {idle:.1%} of a core. A deleted object is restored after "
        f"{_p95(drift) * 1000:.0f} ms (p95)."
    )


def _watched(count: int, objects: int) -> str:
    with _filled(count, objects) as (cluster, root, scratch), controller(cluster, scratch) as running:
        seconds = _ready(cluster, root, count, running)
        return f"{count * objects:,} objects of {count} Kustomizations applied and watched: {seconds:.0f} s, {_megabytes(running)} MB."


def _hooked(count: int) -> str:
    with _filled(count, 4) as (cluster, root, scratch), controller(cluster, scratch) as running:
        _ready(cluster, root, count, running)
        meta = {"name": "hook", "namespace": "flux-system"}
        cluster.make("/api/v1/namespaces/flux-system/secrets", {"metadata": meta, "stringData": {"token": "t"}})
        spec = {"type": "generic", "secretRef": {"name": "hook"}, "resources": [{"kind": "GitRepository", "name": "r"}]}
        value = {"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver", "metadata": meta, "spec": spec}
        cluster.make(f"{HOOKS}/namespaces/flux-system/receivers", value)
        path = f"/hook/{hashlib.sha256(b'thookflux-system').hexdigest()}"
        until(lambda: running.ask(path, b"")[0] == 200, running)
        took = []
        for number in range(SAMPLES):
            _commit(root, "k3", str(number + 100))
            began = time.monotonic()
            running.ask(path, b"")
            until(lambda: _data(cluster, "k3-0") == str(number + 100), running)  # noqa: B023
            took.append(time.monotonic() - began)
    return f"A commit that a Git host announces by webhook, in a repository of {count} applications, is applied after {_p95(took) * 1000:.0f} ms (p95)."


def _applications(count: int, objects: int) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cluster"
        folder.mkdir()
        with servers.running(folder) as cluster:
            for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
                cluster.make(CRDS, test_applications.definition(kind, plural))
                cluster.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
            for name in ("argocd", "prod"):
                cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
            cluster.make(test_applications.PROJECTS, test_applications.project())
            place = test_applications.Place(Path(scratch) / "root", cluster)
            (place.root / "gatekeeper.yaml").write_text("references: {allow: ['*']}\n")
            names = [f"k{number}" for number in range(count)]
            for name in names:
                (place.root / name).mkdir()
                values = [config(f"{name}-{number}") for number in range(objects)]
                (place.root / name / "all.yaml").write_text(yaml.dump_all(values, Dumper=yaml.CSafeDumper))
            place.commit()
            for name in names:
                cluster.make(test_applications.APPS, place.app(name))
            began = time.monotonic()
            with controller(cluster, Path(scratch), "--controllers", "argo") as running:
                until(lambda: _synced(cluster, count), running, 600)
                seconds, peak = time.monotonic() - began, _megabytes(running)
                time.sleep(10)
                before = _cpu(running)
                time.sleep(IDLE_SECONDS)
                idle = (_cpu(running) - before) / IDLE_SECONDS
                drift = [_healed(cluster, number) for number in range(SAMPLES)]
    return (
        f"{count:,} Argo CD Applications with {objects} objects each, from the start until all are synced and healthy: "
        f"{seconds:.0f} s, {peak} MB. Idle: {idle:.1%} of a core. A deleted object is restored after "
        f"{_p95(drift) * 1000:.0f} ms (p95)."
    )


def _synced(cluster: Cluster, count: int) -> bool:
    # Whoever asks all the time is a part of the load.
    time.sleep(1)
    items = [one.get("status") or {} for one in cluster.ask("GET", test_applications.APPS)[1]["items"]]
    synced = [one for one in items if (one.get("sync") or {}).get("status") == "Synced"]
    return len(synced) == count


def _ready(cluster: Cluster, root: Path, count: int, running: Running) -> float:
    """Seconds from when the repository is named until all of it is applied."""
    meta = {"name": "r", "namespace": "flux-system"}
    spec = {"interval": "1h", "url": f"file://{root}", "ref": {"branch": "main"}}
    began = time.monotonic()
    cluster.make(
        REPOSITORIES,
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": meta, "spec": spec},
    )

    def are_ready() -> bool:
        # Whoever asks all the time is a part of the load.
        time.sleep(1)
        items = cluster.ask("GET", KUSTOMIZATIONS)[1]["items"]
        said = [one.get("status", {}).get("conditions", [{}])[0] for one in items]
        return [(one.get("type"), one.get("status")) for one in said].count(("Ready", "True")) == count

    until(are_ready, running, 600)
    return time.monotonic() - began


def _healed(cluster: Cluster, number: int) -> float:
    path = f"{MAPS}/k{number}-0"
    began = time.monotonic()
    cluster.ask("DELETE", path)
    cluster.wait(path)
    return time.monotonic() - began


def _data(cluster: Cluster, name: str) -> str:
    code, value = cluster.ask("GET", f"{MAPS}/{name}")
    return str(value["data"]["a"]) if code == 200 else ""


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95) - 1]


def _megabytes(running: Running) -> int:
    text = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) // 1024  # type: ignore[index]


def _cpu(running: Running) -> float:
    """Seconds of a core that it has used."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _commit(root: Path, name: str, value: str) -> None:
    values = [config(f"{name}-{number}", value) for number in range(4)]
    (root / name / "all.yaml").write_text(yaml.dump_all(values, Dumper=yaml.CSafeDumper))
    _git(root, "commit", "-qam", "x")


def _git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, "-C", str(root), *words], check=True)


def _write(root: Path, wanted: list[dict[str, Any]], objects: int) -> None:
    root.mkdir()
    (root / "gatekeeper.yaml").write_text("references: {allow: ['*']}\n")
    (root / "kustomizations.yaml").write_text(yaml.dump_all(wanted, Dumper=yaml.CSafeDumper))
    for one in wanted:
        name = one["metadata"]["name"]
        (root / name).mkdir()
        values = [config(f"{name}-{number}") for number in range(objects)]
        (root / name / "all.yaml").write_text(yaml.dump_all(values, Dumper=yaml.CSafeDumper))
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", "-A")
    _git(root, "commit", "-qm", "x")
