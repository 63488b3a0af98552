"""The program with Kyverno's engine: batches, policies that explode, and what becomes of the others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission.kyverno import program as module
from gatekeeper.engines.admission.kyverno.program import KyvernoProgram
from gatekeeper.engines.admission.kyverno.results import PROGRAM
from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.model import Resource
from tests.conftest import Repository, judge, needs
from tests.engines.admission.kyverno.test_evaluator import POD, POLICY
from tests.engines.resources import build_resource, parse_resources

POLICIES = parse_resources(POLICY)
# Each evaluation doubles a text forty times.
EXPLODING = build_resource(
    {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ValidatingPolicy",
        "metadata": {"name": "exploding"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "variables": [
                {"name": "v0", "expression": "'0123456789'"},
                *({"name": f"v{n}", "expression": f"variables.v{n - 1} + variables.v{n - 1}"} for n in range(1, 41)),
            ],
            "validations": [{"expression": "size(variables.v40) > 0"}],
        },
    }
)


def open_policies(*policies: Resource) -> KyvernoProgram:
    return KyvernoProgram(policies, [], [])


def build_pod(name: str, image: str) -> bytes:
    spec = {"containers": [{"name": "c", "image": image}]}
    return orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "b"}, "spec": spec})


@needs("gatekeeper-kyverno")
def test_results_are_in_the_order_of_the_objects() -> None:
    program = open_policies(*POLICIES)
    inputs: list[tuple[bytes, Any]] = [(build_pod(str(n), f"a:{'latest' if n % 3 else n}"), None) for n in range(700)]
    results = program.evaluate(inputs)
    assert [[one.status for one in found] for found in results] == [
        ["fail" if number % 3 else "pass"] for number in range(700)
    ]


@needs("gatekeeper-kyverno")
def test_only_the_selected_policies_are_evaluated() -> None:
    program = open_policies(*POLICIES, *POLICIES)
    pod = build_pod("a", "a:latest")
    found = program.evaluate([(pod, [1]), (pod, []), (pod, None)])
    assert [[one.policy for one in results] for results in found] == [[1], [], [0, 1]]


@needs("gatekeeper-kyverno")
def test_an_object_that_is_no_object_fails_alone() -> None:
    found = open_policies(*POLICIES).evaluate([(b'"text"', None), (build_pod("a", "a:latest"), None)])
    assert [(one[0].status, one[0].policy) for one in found] == [("error", -1), ("fail", 0)]


@needs("gatekeeper-kyverno")
def test_a_policy_that_explodes_loses_only_itself(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "p.yaml": POLICY,
        "e.yaml": EXPLODING.json,
        "o.yaml": POD.replace("IMAGE", "a:latest"),
    }
    verdict = judge(repository(files))
    assert verdict.decision == "incomplete"
    assert "images/pinned" in [finding.rule for finding in verdict.findings]
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert "ValidatingPolicy/exploding could not be evaluated" in gap.reason


def test_without_the_program_all_kyverno_policies_are_one_gap(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> None:
        raise ToolError(f"{name} is not installed; run `gatekeeper tools install {name}`")

    module.open_program().close()
    monkeypatch.setattr(module, "DEFAULT_TOOLCHAIN", type("T", (), {"find": staticmethod(find)}))
    verdict = judge(repository({"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "incomplete"
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert "Kyverno policies are evaluated by Kyverno's own engine: gatekeeper-kyverno is not installed" in gap.reason
    assert "run `gatekeeper tools install gatekeeper-kyverno`" in gap.reason


def test_the_program_is_part_of_this_package() -> None:
    assert toolchain.TOOLS[PROGRAM].source_folder
