"""The part of `make bench` on rendering and tracing: a public repository of Flux, and findings without a path."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation, loader, query_plan
from gatekeeper.engines.rego.model import PolicySet, QueryPlan
from gatekeeper.model import ObjectRef, Resource
from gatekeeper.protocols import RegoEngine
from gatekeeper.render import pipeline
from gatekeeper.upstream.client import open_client
from gatekeeper.workspace import documents, file_selection
from tests.bench.measurement import measure
from tests.conftest import SHARED
from tests.engines.rego.test_field_tracer import Nowhere

FLUX = SHARED / "corpora" / "xunholy__k8s-gitops"
RESOURCES = 2000
RULES = (
    'endswith(input.spec.image, ":latest"); msg := sprintf("%s uses latest", [input.metadata.name])',
    'not input.metadata.labels.team; msg := sprintf("%s has no team", [input.metadata.name])',
    'input.spec.replicas < 2; msg := sprintf("%s has one replica", [input.metadata.name])',
    'input.spec.privileged; msg := sprintf("%s is privileged", [input.metadata.name])',
    'not input.spec.memory; msg := sprintf("%s has no memory limit", [input.metadata.name])',
)


def lines(gatekeeper: Path) -> list[str]:
    """The lines of the section."""
    return [*_check_flux(gatekeeper), *_trace()]


def _check_flux(gatekeeper: Path) -> list[str]:
    if not FLUX.exists():
        return []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "repository"
        shutil.copytree(FLUX, folder, symlinks=True)
        _, cpu, memory = measure([gatekeeper, "check", "--no-cache", "--format", "json", folder], folder)
        config = Config()
        tree = file_selection.build_tree([folder], folder, config.exclude, config.policies)
        parsed, _ = documents.parse_tree(tree, 2)
        program = open_client(config.kubernetes).get_worker().pid
        began, began_cpu = time.monotonic(), time.process_time() + _read_cpu_seconds(program)
        rendered = pipeline.render_tree(tree, parsed, config, 2)
        seconds = time.monotonic() - began
        cpu_seconds = time.process_time() + _read_cpu_seconds(program) - began_cpu
    count = sum(file.file.rpartition("/")[2] in documents.KUSTOMIZATION_NAMES for file in parsed)
    return [
        f"A public repository of Flux with {count} kustomizations and {len(rendered.resources)} rendered objects: "
        f"rendered in process in {seconds:.1f} s ({cpu_seconds:.1f} s of CPU time); a first check takes {cpu:.1f} s of "
        f"CPU time and {memory // 1024} MB."
    ]


def _read_cpu_seconds(process: int) -> float:
    """User and system time of a running process. Source: proc(5), `/proc/pid/stat`."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _trace() -> list[str]:
    """The CPU time of tracing, as part of evaluation, for images that are alike and for images that are not."""
    shown = []
    for title, tag in (("equal", "1.2.3"), ("different", "1.{n}")):
        resources = [_build_resource(n, "latest" if n % 10 == 0 else tag.format(n=n)) for n in range(RESOURCES)]
        text = "package main\nimport rego.v1\n" + "".join(f"deny contains msg if {{ {rule} }}\n" for rule in RULES)
        config = Config(library="off")
        plan = query_plan.build_plan(config, PolicySet((loader.parse_module(text, "main.rego"),), {}))
        engine = evaluation.start_engine(config, plan, 1)
        try:
            count, seconds = _measure_tracing(resources, plan, engine)
        finally:
            engine.close()
        shown.append(f"{seconds:.2f} s where the images are {title}")
    return [
        f"{count} findings without a path on {RESOURCES} resources, five rules in one package: evaluation and the search "
        f"of each field take {' and '.join(shown)} (CPU time)."
    ]


def _measure_tracing(resources: list[Resource], plan: QueryPlan, engine: RegoEngine) -> tuple[int, float]:
    began = time.process_time()
    findings, _ = evaluation.evaluate_resources(resources, plan, engine)
    return len(findings), time.process_time() - began


def _build_resource(number: int, tag: str) -> Resource:
    value = {
        "apiVersion": "example.com/v1",
        "kind": "App",
        "metadata": {"name": f"web-{number}", "namespace": "prod", "labels": {"app": f"web-{number}"}},
        "spec": {"replicas": 1, "memory": "1Gi", "image": f"registry.example.com/web:{tag}"},
    }
    return Resource(ObjectRef("example.com/v1", "App", "prod", f"web-{number}"), orjson.dumps(value), Nowhere())
