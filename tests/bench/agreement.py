"""The part of `make bench` on verdicts: how often they are those of the cluster, beside those of the peers."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.engines.admission.kyverno import suites
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.host import toolchain
from gatekeeper.upstream.client import open_client
from tests.conftest import SHARED
from tests.upstream import api_server, mutations
from tests.upstream.mutations import CRD
from tests.upstream.test_differential import CRD_PATH, EXAMPLE_GROUP, SEED, Comparison, compare

COUNT, KUBERNETES = 2000, "1.36"
SUITES = SHARED / "corpora" / "policies" / "kyverno__policies"


def lines(gatekeeper: Path) -> list[str]:
    """The lines of the section."""
    return [*_compare_with_api_server(), *_run_kyverno_suites()]


def _compare_with_api_server() -> list[str]:
    manifests = mutations.load_manifests()
    with tempfile.TemporaryDirectory() as scratch, api_server.running(Path(scratch)) as server:
        for one in manifests:
            if one["kind"] == CRD and one["spec"]["group"] == EXAMPLE_GROUP:
                server.machine.make(CRD_PATH, one)
                server.machine.wait(f"/apis/{EXAMPLE_GROUP}/v1/{one['spec']['names']['plural']}")
        for version in {one["apiVersion"] for one in manifests}:
            server.discover(version)
        mutants = list(mutations.mutate(manifests, COUNT, SEED))
        found = [one for one in compare(open_client(""), server, manifests, mutants) if not one.is_excluded]
    refused = [not one.server.is_accepted for one in found]
    ours = _count([bool(one.refusals) or bool(one.ours.unchecked) for one in found], refused)
    theirs = _count(_run_kubeconform(found), refused)
    return [
        f"{len(found)} manifests with seeded faults, of which the API server {KUBERNETES} refuses {sum(refused)} in a dry "
        f"run with strict field validation: Gatekeeper refuses {ours[0]} of them and {ours[1]} others; "
        f"kubeconform {theirs[0]} and {theirs[1]}."
    ]


def _count(answers: Sequence[bool], refused: Sequence[bool]) -> tuple[int, int]:
    """How many are refused rightly, and how many wrongly."""
    both = list(zip(answers, refused, strict=True))
    return sum(mine and right for mine, right in both), sum(mine and not right for mine, right in both)


def _run_kubeconform(found: Sequence[Comparison]) -> list[bool]:
    """Whether kubeconform refuses each manifest, with the published schemas of the same version of Kubernetes."""
    catalog = SchemaCatalog(KUBERNETES)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "schemas").mkdir()
        (folder / "manifests").mkdir()
        for number, one in enumerate(found):
            value: dict[str, Any] = one.mutant.value
            (folder / "manifests" / f"{number:05}.json").write_bytes(orjson.dumps(value))
            group, _, version = value["apiVersion"].rpartition("/")
            schema = catalog.find_schema((value["apiVersion"], value["kind"]))
            if schema is not None:
                suffix = f"-{group.partition('.')[0]}-{version}" if group else f"-{version}"
                (folder / "schemas" / f"{value['kind'].lower()}{suffix}.json").write_bytes(orjson.dumps(schema))
        program = toolchain.DEFAULT_TOOLCHAIN.find("kubeconform")
        location = "schemas/{{.ResourceKind}}{{.KindSuffix}}.json"
        options = ["-strict", "-ignore-missing-schemas", "-output", "json", "-schema-location", location]
        shown = subprocess.run([program, *options, "manifests"], cwd=folder, capture_output=True, check=False).stdout
        invalid = {
            Path(entry["filename"]).name
            for entry in orjson.loads(shown)["resources"]
            if entry["status"] in ("statusInvalid", "statusError")
        }
    return [f"{number:05}.json" in invalid for number in range(len(found))]


def _run_kyverno_suites() -> list[str]:
    if not SUITES.exists():
        return []
    outcomes = list(suites.run_suites(SUITES, suites.find_suites(SUITES, ["."])))
    passed, failed = sum(one.passed for one in outcomes), sum(not one.passed and not one.error for one in outcomes)
    return [
        f"Kyverno's public policies, {len(outcomes)} results of their own test suites: {passed} alike, {failed} "
        f"different, {len(outcomes) - passed - failed} not judged, each with its reason."
    ]
