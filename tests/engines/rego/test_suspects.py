"""Grouped findings get exactly the field that a search of each whole resource gives."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation, loader, query_plan
from gatekeeper.engines.rego.field_tracer import FieldTracer
from gatekeeper.engines.rego.input_reads import find_input_reads
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.suspects import Suspect, SuspectGroups, derive_keys, extract_messages, split_batches
from gatekeeper.model import FieldPath

BODIES = (
    'some c in input.spec.containers; endswith(c.image, ":latest"); msg := sprintf("%s is latest", [c.name])',
    'some c in input.spec.containers; not c.limits.memory; msg := sprintf("%s of %s", [c.name, input.metadata.name])',
    'input.spec.replicas < 2; msg := sprintf("%s has one", [input.metadata.name])',
    'not input.metadata.labels.team; msg := sprintf("%s has no team", [input.metadata.name])',
    'not input.metadata.annotations.owner; msg := "no owner"',
    'input.metadata.labels[k] == "x"; msg := sprintf("%s has %s", [input.metadata.name, k])',
    'input.spec.host; not input.spec.safe; msg := sprintf("%v: host", [input["metadata"]["namespace"]])',
    'startswith(input.metadata.name, "web"); input.spec.replicas > 2; msg := sprintf("%s", [input.metadata.name])',
    'object.get(input, "spec", {}).host; msg := "host"',
    'count(input.spec.containers) > 1; msg := sprintf("%s: %d", [input.metadata.name, count(input.spec.containers)])',
    'input.metadata.name == data.known; msg := "known"',
    'some key, value in input.metadata; value == "x"; msg := key',
)


def _build_resource(source: random.Random) -> dict[str, Any]:
    labels = {key: source.choice(("x", "y")) for key in ("team", "app", "tier") if source.random() < 0.6}
    containers = [
        {
            "name": source.choice(("web", "log", "web-1")),
            "image": f"{source.choice('abc')}:{source.choice(('latest', '1', '2'))}",
            **({"limits": {"memory": "1Mi"}} if source.random() < 0.5 else {}),
        }
        for _ in range(source.randrange(3))
    ]
    spec = {"replicas": source.randrange(4), "containers": containers, "host": source.random() < 0.5, "paused": False}
    metadata: dict[str, Any] = {"name": f"{source.choice(('web', 'db'))}-{source.randrange(30)}", "namespace": "prod"}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _trace_both(
    rules: list[str], values: list[dict[str, Any]]
) -> tuple[list[FieldPath | None], list[FieldPath | None]]:
    """The fields of all findings: traced together, and each alone on its whole resource."""
    bodies = "".join(f"deny contains msg if {{ {rule} }}\n" for rule in rules)
    text = f"package main\nimport rego.v1\n{bodies}"
    config = Config(library="off")
    plan = query_plan.build_plan(config, PolicySet((loader.parse_module(text, "main.rego"),), {"known": "web-1"}))
    engine = evaluation.start_engine(config, plan, 1)
    try:
        suspects = [
            Suspect(answer.query, values[answer.input_index], message, len(messages))
            for answer in engine.evaluate([(orjson.dumps(value), plan.queries) for value in values])
            for messages in [extract_messages(answer.value)]
            for message in messages
        ]
        modules = {query: rule.module for query, rule in plan.rules.items()}
        together = FieldTracer(engine, modules, plan.policies.modules)
        # Only a tracer without the text of the package searches whole resources; a new one has no usual paths.
        return together.trace(suspects), [FieldTracer(engine, modules).trace([suspect])[0] for suspect in suspects]
    finally:
        engine.close()


@pytest.mark.parametrize("seed", range(40))
def test_groups_have_the_fields_of_the_full_search(seed: int) -> None:
    source = random.Random(seed)
    rules = source.sample(BODIES[:8], source.randrange(1, 6))
    together, alone = _trace_both(rules, [_build_resource(source) for _ in range(40)])
    assert together == alone


@pytest.mark.parametrize("rule", BODIES[8:], ids=range(len(BODIES[8:])))
def test_rules_that_read_unknown_parts_are_traced_in_the_whole_resource(rule: str) -> None:
    source = random.Random(1)
    values = [_build_resource(source)]
    text = f"package main\nimport rego.v1\ndeny contains msg if {{ {rule} }}\n"
    config = Config(library="off")
    plan = query_plan.build_plan(config, PolicySet((loader.parse_module(text, "main.rego"),), {"known": "web-1"}))
    engine = evaluation.start_engine(config, plan, 1)
    try:
        modules = {query: each.module for query, each in plan.rules.items()}
        suspect = Suspect(next(iter(modules)), values[0], "never said", 1)
        assert SuspectGroups(engine, modules, plan.policies.modules).build([suspect]) == [(suspect, [0])]
    finally:
        engine.close()


def test_equal_findings_are_one_group_whatever_their_names() -> None:
    values: list[dict[str, Any]] = [
        {"metadata": {"name": f"web-{n}", "labels": {"n": str(n)}}, "spec": {"replicas": 1}} for n in range(9)
    ]
    text = f"package main\nimport rego.v1\ndeny contains msg if {{ {BODIES[2]} }}\n"
    config = Config(library="off")
    plan = query_plan.build_plan(config, PolicySet((loader.parse_module(text, "main.rego"),), {}))
    engine = evaluation.start_engine(config, plan, 1)
    try:
        modules = {query: rule.module for query, rule in plan.rules.items()}
        [query] = modules
        suspects = [Suspect(query, value, f"{value['metadata']['name']} has one", 1) for value in values]
        [group] = SuspectGroups(engine, modules, plan.policies.modules).build(suspects)
        assert group.numbers == list(range(9))
    finally:
        engine.close()


def test_key_is_the_shape_of_the_finding_without_the_values() -> None:
    reads = find_input_reads(["input.spec.image"])
    one = Suspect("q", {"spec": {"image": "a:1", "n": 3}}, "image a:1 is old", 1, reads)
    other = Suspect("q", {"spec": {"image": "b:2", "n": 4}}, "image b:2 is old", 1, reads)
    unlike = [
        other._replace(message="image b:2 is new"),
        other._replace(message_count=2),
        other._replace(query="r"),
        other._replace(value={"spec": {"image": "b:2", "m": 4}}),
        other._replace(value={"spec": {"image": ["b:2"], "n": 4}}),
    ]
    key, *keys = derive_keys([one, other, *unlike])
    assert [each == key for each in keys] == [True, False, False, False, False, False]


def test_first_batch_has_one_finding_of_each_shape() -> None:
    reads = find_input_reads(["input.spec.image"])
    suspects = [Suspect("q", {"spec": {"image": "x"}}, "m", 1, reads)] * 1200
    keys = [("a",) if number % 3 else ("b",) for number in range(1200)]
    first, *rest = split_batches(suspects, keys)
    assert first == [0, 1] and [len(batch) for batch in rest] == [500, 500, 198]
    assert sorted(number for batch in rest for number in batch) == list(range(2, 1200))
