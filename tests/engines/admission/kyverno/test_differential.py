"""Seeded differential test: `check` judges generated objects as Kyverno's own test command does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission.kyverno.program import KyvernoProgram, open_suite_program
from gatekeeper.engines.admission.kyverno.suites import SUITE_SECONDS
from tests.conftest import needs
from tests.engines.admission.kyverno.test_cel_policies import POLICY as CEL_POLICY
from tests.engines.resources import parse_resources

pytestmark = needs("gatekeeper-kyverno")
OBJECTS = 40
HEAD = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  validationFailureAction: Enforce
  rules:
"""
RULE = """\
  - name: NAME
    match: {any: [{resources: {kinds: [Pod]}}]}
"""
BODIES = (
    "    validate: {message: m, pattern: {spec: {containers: [{image: '!*:latest & *:*'}]}}}\n",
    "    validate: {message: m, pattern: {metadata: {labels: {app: '?*'}}, spec: {=(hostNetwork): false}}}\n",
    "    validate: {message: m, anyPattern: [{spec: {replicas: '>1'}}, {metadata: {name: 'o1*|o2*'}}]}\n",
    "    preconditions: {all: [{key: '{{ request.object.metadata.labels.app || ''none'' }}', operator: NotEquals,"
    " value: db}]}\n"
    "    validate: {message: m, deny: {conditions: {any: [{key: '{{ request.object.spec.containers[].image }}',"
    " operator: AnyIn, value: ['evil/*']}]}}}\n",
    "    validate: {message: m, foreach: [{list: request.object.spec.containers, deny: {conditions: {all:"
    " [{key: '{{ element.resources.limits.memory || ''0'' }}', operator: GreaterThan, value: 1Gi}]}}}]}\n",
    "    validate: {podSecurity: {level: baseline, version: latest,"
    " exclude: [{controlName: Host Ports, images: ['good/*']}]}}\n",
    "    validate: {cel: {expressions: [{expression: 'object.spec.containers.all(c, has(c.resources))', message: m}]}}\n",
    "    exclude: {any: [{resources: {namespaces: [n1]}}]}\n"
    "    validate: {message: m, pattern: {metadata: {=(annotations): {=(owner): 'team-*'}}}}\n",
    # Anchors.
    "    validate: {message: m, pattern: {spec: {containers: [{(image): '*:latest', imagePullPolicy: Always}]}}}\n",
    "    validate: {message: m, pattern: {spec: {^(containers): [{image: 'good/*'}]}}}\n",
    "    validate: {message: m, pattern: {spec: {containers: [{<(image): 'evil/*'}], priorityClassName: low}}}\n",
    "    validate: {message: m, pattern: {spec: {containers: [{=(securityContext): {X(privileged): 'null'}}]}}}\n",
    "    validate: {message: m, pattern: {metadata: {labels: {'?*': 'web | db'}}}}\n",
    "    validate: {message: m, pattern: {spec: {containers: [{=(resources): {limits: {memory: '<=1Gi'}}}]}}}\n",
    "    validate: {message: m, pattern: {spec: {containers: [{=(ports): [{=(hostPort): '0 | 1000-2000'}]}]}}}\n",
    # Operators.
    *(
        f"    validate: {{message: m, deny: {{conditions: {{{kind}: [{{key: '{{{{ request.object.spec.containers[].image }}}}',"
        f" operator: {operator}, value: ['good/*', 'evil/a:2']}}]}}}}}}\n"
        for kind, operator in (("any", "AllIn"), ("all", "AllNotIn"), ("all", "AnyNotIn"))
    ),
    *(
        "    validate: {message: m, deny: {conditions: {all: [{key: '{{ length(request.object.spec.containers) }}',"
        f" operator: {operator}, value: {value}}}]}}}}}}\n"
        for operator, value in (
            ("Equals", 1),
            ("NotEquals", 1),
            ("GreaterThanOrEquals", 2),
            ("LessThan", 2),
            ("LessThanOrEquals", 1),
            ("AnyIn", "'2-3'"),
        )
    ),
    "    validate: {message: m, deny: {conditions: {any: [{key: '{{ request.object.metadata.annotations.owner ||"
    " ''30m'' }}', operator: DurationLessThan, value: 1h}]}}}\n",
    # Preconditions and loops.
    "    preconditions: {any: [{key: '{{ request.object.metadata.name }}', operator: AnyIn, value: ['o1*', 'o2*']},"
    " {key: '{{ request.namespace }}', operator: Equals, value: n1}]}\n"
    "    validate: {message: m, pattern: {spec: {=(hostNetwork): false}}}\n",
    "    validate: {message: m, foreach: [{list: request.object.spec.containers, preconditions: {all: [{key:"
    " '{{ element.image }}', operator: NotEquals, value: 'evil/a:2'}]}, pattern: {image: '*:1'}}]}\n",
    "    validate: {message: m, foreach: [{list: request.object.spec.containers, elementScope: false, deny: {conditions:"
    " {all: [{key: '{{ elementIndex }}', operator: Equals, value: 1}]}}}]}\n",
    "    validate: {message: m, foreach: [{list: request.object.spec.containers, anyPattern: [{image: '*:1'},"
    " {resources: {limits: {memory: '?*'}}}]}]}\n",
    "    validate: {message: m, foreach: [{list: request.object.spec.containers, foreach: [{list: 'element.ports || `[]`',"
    " deny: {conditions: {all: [{key: '{{ element.hostPort }}', operator: GreaterThan, value: 0}]}}}]}]}\n",
    # Pod Security.
    "    validate: {podSecurity: {level: restricted, version: latest}}\n",
    "    validate: {podSecurity: {level: baseline, version: v1.24}}\n",
    "    validate: {podSecurity: {level: baseline, version: latest, exclude: [{controlName: Host Namespaces,"
    " restrictedField: spec.hostNetwork, values: ['true']}, {controlName: Privileged Containers, images: ['*'],"
    " restrictedField: 'spec.containers[*].securityContext.privileged', values: ['true']}]}}\n",
    # Context and CEL.
    "    context: [{name: first, variable: {jmesPath: 'request.object.spec.containers[0].image'}}]\n"
    "    validate: {message: m, deny: {conditions: {any: [{key: '{{ first | split(@, '':'') | length(@) }}',"
    " operator: Equals, value: 1}]}}}\n",
    "    celPreconditions: [{name: c, expression: 'has(object.spec)'}]\n"
    "    validate: {cel: {variables: [{name: count, expression: 'size(object.spec.containers)'}],"
    " expressions: [{expression: 'variables.count < 2', message: m}]}}\n",
)
# A policy with one of these makes no rules for controllers of Pods.
SELECTING_BODIES = (
    "    exclude: {all: [{resources: {namespaces: [n2]}}, {resources: {selector: {matchLabels: {app: 'w*'}}}}]}\n"
    "    validate: {message: m, deny: {conditions: {all: [{key: a, operator: Equals, value: a}]}}}\n",
    "    exclude: {any: [{resources: {annotations: {owner: 'team-*'}}}]}\n    validate: {failureAction: Audit, message: m,"
    " pattern: {spec: {=(hostNetwork): false}}}\n",
)


def build_rules(prefix: str, bodies: tuple[str, ...]) -> dict[str, str]:
    return {f"{prefix}{number}": RULE.replace("NAME", f"{prefix}{number}") + body for number, body in enumerate(bodies)}


RULES = {"p": build_rules("r", BODIES), "q": build_rules("s", SELECTING_BODIES)}
POLICIES = "---\n".join(
    HEAD.replace("name: p", f"name: {policy}") + "".join(RULES[policy].values()) for policy in RULES
)
NAMES = [(policy, rule) for policy, rules in RULES.items() for rule in rules]


def build_container(chance: random.Random) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "c",
        "image": chance.choice(["good/a:1", "good/a:latest", "good/a", "evil/a:2"]),
    }
    if chance.random() < 0.6:
        container["resources"] = {"limits": {"memory": chance.choice(["512Mi", "1Gi", "1025Mi", "2Gi", "0"])}}
    if chance.random() < 0.3:
        container["securityContext"] = {"privileged": chance.random() < 0.5}
    if chance.random() < 0.3:
        container["ports"] = [{"containerPort": 80, "hostPort": chance.choice([0, 80])}]
    return container


def build_object(chance: random.Random, number: int) -> dict[str, Any]:
    pod: dict[str, Any] = {"containers": [build_container(chance) for _ in range(chance.choice([1, 1, 2]))]}
    if chance.random() < 0.3:
        pod["hostNetwork"] = chance.random() < 0.5
    metadata: dict[str, Any] = {"name": f"o{number}", "namespace": chance.choice(["n1", "n2"])}
    if chance.random() < 0.6:
        metadata["labels"] = {"app": chance.choice(["web", "db"])}
    if chance.random() < 0.4:
        metadata["annotations"] = {"owner": chance.choice(["team-a", "me"])}
    if chance.random() < 0.5:
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
    labels = metadata.get("labels", {"a": "b"})
    template = {
        "metadata": {key: value for key, value in metadata.items() if key in ("labels", "annotations")},
        "spec": pod,
    }
    spec = {"replicas": chance.choice([1, 3]), "selector": {"matchLabels": labels}, "template": template}
    kind = chance.choice(["Deployment", "StatefulSet"])
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def judge_here(objects: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """The results of `check`: (rule, object, status), skips and rules that do not apply left out."""
    policies = parse_resources(f"{POLICIES}---\n{CEL_POLICY}")
    results = KyvernoProgram(policies, [], []).evaluate([(orjson.dumps(one), None) for one in objects])
    for one, found in zip(objects, results, strict=True):
        for result in found:
            if result.status in ("pass", "fail"):
                yield result.rule, one["metadata"]["name"], result.status


def judge_by_command(folder: Path, objects: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """The results of Kyverno's test command: everything is expected to pass."""
    (folder / "p.yaml").write_text(f"{POLICIES}---\n{CEL_POLICY}")
    (folder / "o.yaml").write_bytes(b"\n---\n".join(map(orjson.dumps, objects)))
    expected = [
        {"policy": policy, "rule": rule, "kind": one["kind"], "resources": [one["metadata"]["name"]], "result": "pass"}
        for one in objects
        for policy, rule in (*NAMES, ("labels", ""))
    ]
    for entry in expected:
        if entry["policy"] == "labels":
            entry["isValidatingPolicy"] = True
            del entry["rule"]
    head = {"apiVersion": "cli.kyverno.io/v1alpha1", "kind": "Test", "metadata": {"name": "t"}}
    suite = {**head, "policies": ["p.yaml"], "resources": ["o.yaml"], "results": expected}
    (folder / "kyverno-test.yaml").write_bytes(orjson.dumps(suite))
    answer = open_suite_program().call("test", {"path": str(folder / "kyverno-test.yaml")}, SUITE_SECONDS)
    assert not answer["fault"]
    for case in answer["cases"]:
        status = {"Ok": "pass", "Want pass, got fail": "fail"}.get(case["REASON"])
        if status is not None:
            yield case["RULE"].removeprefix("autogen-"), case["RESOURCE"].rpartition("/")[2], status


@pytest.mark.parametrize("seed", range(3))
def test_each_result_is_that_of_the_test_command(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    objects = [build_object(chance, number) for number in range(OBJECTS)]
    here, command = sorted(judge_here(objects)), sorted(judge_by_command(tmp_path, objects))
    assert here == command
    assert {status for *_, status in here} == {"pass", "fail"} and len({rule for rule, *_ in here}) == len(NAMES) + 1
