"""`make bench`: Gatekeeper against kubeconform plus conftest, the same work in one run; prints ratios.

Writes docs/benchmarks.md. CPU is user plus system time of the process and its children, wall is elapsed time; the best
of five runs is used, so that other load on the machine affects all programs alike.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.host import toolchain
from tests.bench import agreement, reconciliation, repositories, seal, secret_sync, terraform
from tests.bench.measurement import ROUNDS, measure

POLICY = """package main

import rego.v1

deny contains msg if {
	some c in input.spec.template.spec.containers
	endswith(c.image, ":latest")
	msg := sprintf("container %s uses latest", [c.name])
}

deny contains msg if {
	some c in input.spec.template.spec.containers
	not c.resources.limits.memory
	msg := sprintf("container %s has no memory limit", [c.name])
}

deny contains msg if {
	some c in input.spec.template.spec.containers
	c.securityContext.privileged
	msg := sprintf("container %s is privileged", [c.name])
}

deny contains msg if {
	not input.metadata.labels.team
	msg := sprintf("%s has no team", [input.metadata.name])
}

deny contains msg if {
	input.spec.replicas < 2
	msg := sprintf("%s has one replica", [input.metadata.name])
}
"""
MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{n}
  namespace: prod
  labels: {{app: web-{n}, team: shop}}
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web-{n}
  template:
    metadata:
      labels:
        app: web-{n}
    spec:
      securityContext:
        runAsNonRoot: true
      containers:
      - name: web
        image: registry.example.com/team/web:{tag}
        ports:
        - containerPort: 8080
          name: http
        env:
        - name: LOG_LEVEL
          value: "info"
        resources:
          requests: {{cpu: 100m, memory: 128Mi}}
          limits: {{cpu: 500m, memory: 256Mi}}
        livenessProbe:
          httpGet: {{path: /healthz, port: http}}
        readinessProbe:
          httpGet: {{path: /ready, port: http}}
"""


def write(folder: Path, count: int) -> None:
    """A repository of Deployments, every fiftieth with a fault, and its policy."""
    (folder / "policy").mkdir(parents=True)
    (folder / "policy" / "main.rego").write_text(POLICY)
    (folder / "manifests").mkdir()
    for n in range(count):
        text = MANIFEST.format(n=n, tag="latest" if n % 50 == 0 else "1.2.3")
        (folder / "manifests" / f"{n:05}.yaml").write_text(text)
    settings = {"kubernetes": "1.31", "library": {"profile": "off"}, "policies": {"paths": ["policy"]}}
    (folder / "gatekeeper.yaml").write_bytes(orjson.dumps(settings))
    catalog = SchemaCatalog("1.31")
    schema = catalog.find_schema(("apps/v1", "Deployment"))
    (folder / "schemas").mkdir()
    (folder / "schemas" / "deployment-apps-v1.json").write_bytes(orjson.dumps(schema))


def peers(folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of kubeconform and conftest, one after the other, as a CI job runs them."""
    location = "schemas/{{.ResourceKind}}{{.KindSuffix}}.json"
    kubeconform: list[str | Path] = [
        toolchain.DEFAULT_TOOLCHAIN.find("kubeconform"),
        "-strict",
        "-schema-location",
        location,
        "manifests",
    ]
    conftest: list[str | Path] = [
        toolchain.DEFAULT_TOOLCHAIN.find("conftest"),
        "test",
        "-p",
        "policy",
        "--output",
        "json",
        "manifests",
    ]
    both = [measure(command, folder) for command in (kubeconform, conftest)]
    return sum(one[0] for one in both), sum(one[1] for one in both)


def hook(gatekeeper: Path) -> list[str]:
    """A repository of 9,000 manifests in Git, judged by the rules of the library and five more: warm, and one file staged."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, kept = Path(scratch) / "repository", Path(scratch) / "kept"
        folder.mkdir()
        write(folder, 9000)
        (folder / "gatekeeper.yaml").write_text("policies: {paths: [policy]}\nfiles: {exclude: [schemas]}\n")
        os.environ["GATEKEEPER_CACHE"] = str(kept)
        for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
        first = []
        for _ in range(ROUNDS):
            shutil.rmtree(kept, ignore_errors=True)
            first.append(measure([gatekeeper, "check", folder], folder, rounds=1))
        warm = measure([gatekeeper, "check", folder], folder)
        staged = []
        for number in range(ROUNDS):
            file = folder / "manifests" / "00007.yaml"
            file.write_text(re.sub(r"replicas: \d+", f"replicas: {number + 4}", file.read_text()))
            subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
            staged.append(measure([gatekeeper, "check", "--staged"], folder, rounds=1))
        conftest = measure(
            [toolchain.DEFAULT_TOOLCHAIN.find("conftest"), "test", "-p", "policy", "--output", "json", "manifests"],
            folder,
        )[0]
        pass_ = measure([sys.executable, "-c", "pass"], folder)
        del os.environ["GATEKEEPER_CACHE"]
    cold = [min(one[number] for one in first) / warm[number] for number in (0, 1)]
    new = [min(one[number] for one in staged) / pass_[number] for number in (0, 1)]
    return [
        f"9,000 manifests, nothing changed: 1/{cold[1]:.0f} of the CPU time of the first check, and 1/{cold[0]:.0f} of its "
        f"wall time, each with all processes.",
        f"One of 9,000 files staged, with new content in each run: {new[0]:.0f} times `python -c pass`, "
        f"1/{conftest / min(one[0] for one in staged):.0f} of conftest on all files; with content checked before: "
        f"{warm[0] / pass_[0]:.0f} times. In CPU time, with Git and gatekeeper-upstream: {new[1]:.0f} and "
        f"{warm[1] / pass_[1]:.0f} times.",
    ]


def main() -> int:
    """Runs all comparisons."""
    gatekeeper = Path(sys.executable).with_name("gatekeeper")
    # As with every installed package, Python compiles a module once and not in each run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines = [f"Machine: {machine}. Command: `make bench`.", "", "## Check", ""]
    lines.append(
        "| resources | CPU time relative to kubeconform + conftest | wall time relative to both | peak memory |"
    )
    lines.append("| --- | --- | --- | --- |")
    walls = {}
    for count in (1000, 2000, 5000, 10000):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write(folder, count)
            ours = measure([gatekeeper, "check", "--format", "json", folder], folder)
            walls[count] = ours[0]
            wall, cpu = peers(folder)
            lines.append(f"| {count} | 1/{cpu / ours[1]:.1f} | 1/{wall / ours[0]:.1f} | {ours[2] // 1024} MB |")
    lines += ["", f"Ten times the files (1,000 to 10,000) take {walls[10000] / walls[1000]:.1f} times the wall time."]
    for one in hook(gatekeeper):
        lines += ["", one]
    pass_ = measure([sys.executable, "-c", "pass"], Path.cwd())
    help_ = measure([gatekeeper, "--help"], Path.cwd())
    lines += ["", f"`gatekeeper --help`: {help_[0] / pass_[0]:.1f} times `python -c pass`."]
    for title, measured in (
        ("Terraform", terraform.lines(gatekeeper, measure)),
        ("Agreement", agreement.lines(gatekeeper)),
        ("Rendering and tracing", repositories.lines(gatekeeper)),
        ("Sealed and encrypted secrets", seal.lines(gatekeeper)),
        ("External secrets", secret_sync.lines(gatekeeper)),
        ("Reconciling", reconciliation.lines(gatekeeper)),
    ):
        lines += ["", f"## {title}"]
        for one in measured:
            lines += ["", one]
    head = "# Benchmarks\n\nGenerated by `make bench` (`tests/bench/bench.py`); only ratios are comparable between machines."
    text = "\n".join([head, "", *lines, ""])
    target = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"
    target.write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
