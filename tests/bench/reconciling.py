"""The part of `make bench` on reconciling: a thousand Kustomizations of four objects, against a real API server."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.bench.running import run
from tests.reconciling.test_reconcile import CRD, FLUX, config, flux
from tests.servers import cluster as servers

COUNT, OBJECTS = 1000, 4


def lines(gatekeeper: Path) -> list[str]:
    """What there is to say of it, a line each."""
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch) / "root", Path(scratch) / "cluster"
        folder.mkdir()
        wanted = [flux(f"k{number}") for number in range(COUNT)]
        _write(root, wanted)
        with servers.running(folder) as cluster:
            cluster.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
            cluster.wait(f"{FLUX}/kustomizations")
            for name in ("flux-system", "prod"):
                cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
            for one in wanted:
                cluster.make(f"{FLUX}/namespaces/flux-system/kustomizations", one)
            command: list[str | Path] = [gatekeeper, "reconcile", "--once", "--kubeconfig", cluster.kubeconfig, root]
            first, again = run(command), run(command)
    return [
        f"{COUNT:,} Kustomizations of {OBJECTS} objects, from a new commit to all Ready, on the same two cores as the API "
        f"server: {first[0]:.0f} s, {first[1]} MB, the judging among it; once more, nothing changed: {again[0]:.0f} s."
    ]


def _write(root: Path, wanted: list[dict[str, Any]]) -> None:
    root.mkdir()
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    (root / "kustomizations.yaml").write_text(yaml.dump_all(wanted, Dumper=yaml.CSafeDumper))
    for one in wanted:
        name = one["metadata"]["name"]
        (root / name).mkdir()
        values = [config(f"{name}-{number}") for number in range(OBJECTS)]
        (root / name / "all.yaml").write_text(yaml.dump_all(values, Dumper=yaml.CSafeDumper))
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
