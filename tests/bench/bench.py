"""`make bench`: Gatekeeper against kubeconform plus conftest, the same work in one run; prints ratios.

Writes docs/benchmarks.md. CPU is user plus system time of the process and its children, wall is elapsed time; the best
of five runs is used, so that other load on the machine affects all programs alike.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.host import toolchain
from tests.bench import reconciliation, seal, secret_sync, terraform
from tests.bench.measurement import adopt_orphans, wait_for_orphans

ROUNDS = 5
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


def measure(command: list[str | Path], cwd: Path) -> tuple[float, float, int]:
    """Best wall and CPU seconds of some rounds, and the peak of memory in kilobytes, all of its processes included."""
    adopt_orphans()
    best = (float("inf"), float("inf"), 0)
    for _ in range(ROUNDS):
        began = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=subprocess.DEVNULL)
        # wait4 tells what this one process used; RUSAGE_CHILDREN's memory is the most that any child ever had.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss
        for orphan in wait_for_orphans():
            cpu, memory = cpu + orphan.ru_utime + orphan.ru_stime, memory + orphan.ru_maxrss
        best = (min(best[0], wall), min(best[1], cpu), max(best[2], memory))
    return best


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
        started = time.monotonic()
        subprocess.run([gatekeeper, "check", folder], capture_output=True, check=False)
        cold = time.monotonic() - started
        warm = measure([gatekeeper, "check", folder], folder)[0]
        times = []
        for number in range(ROUNDS):
            file = folder / "manifests" / "00007.yaml"
            file.write_text(re.sub(r"replicas: \d+", f"replicas: {number + 4}", file.read_text()))
            subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
            started = time.monotonic()
            subprocess.run([gatekeeper, "check", "--staged"], cwd=folder, capture_output=True, check=False)
            times.append(time.monotonic() - started)
        conftest = measure(
            [toolchain.DEFAULT_TOOLCHAIN.find("conftest"), "test", "-p", "policy", "--output", "json", "manifests"],
            folder,
        )[0]
        pass_ = measure([sys.executable, "-c", "pass"], folder)[0]
        del os.environ["GATEKEEPER_CACHE"]
    return [
        f"9,000 manifests, nothing changed: 1/{cold / warm:.0f} of the time of the first check.",
        f"One of 9,000 files staged, with new content in each run: {min(times) / pass_:.0f} times `python -c pass`, "
        f"1/{conftest / min(times):.0f} of conftest on all files; with content checked before: {warm / pass_:.0f} times.",
    ]


def main() -> int:
    """Runs all comparisons."""
    gatekeeper = Path(sys.executable).with_name("gatekeeper")
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
