"""A policy that explodes, hangs or crashes the program is a gap of its own; all others change and judge objects."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno.program import KyvernoProgram
from gatekeeper.model import Verdict
from tests.conftest import Repository, judge, needs
from tests.engines.resources import parse_resources

pytestmark = needs("gatekeeper-kyverno")
HEAD = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: bomb}
spec:
  validationFailureAction: Enforce
  rules:
  - name: r
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
"""
CEL_HEAD = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: bomb}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
"""
# Changes the Pod `b` so that the rule below accepts it, and refuses the Pod `a`.
GOOD = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: changing}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod], names: [b]}}]}
    mutate: {patchStrategicMerge: {metadata: {labels: {team: web}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: judging}
spec:
  validationFailureAction: Enforce
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: m, pattern: {metadata: {labels: {team: web}}}}
"""
OBJECTS = (
    "".join(
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\n"
        "spec: {containers: [{name: c, image: 'a:1'}]}\n---\n"
        for name in "ab"
    )
    + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop,"
    + " annotations: {self: '{{ request.object.metadata.annotations.self }}'}}\n"
    + f"data: {{many: '{'a,' * 100_000}', long: {'a' * 1200}}}\n"
)
GROWING = "replace_all(" * 3 + "request.object.data.long" + ", 'a', request.object.data.long)" * 3
GROWING_CEL = "object.data.long.replace('a', object.data.long).replace('a', object.data.long)"
NESTED_CEL = "[1,2,3,4,5,6,7,8,9,0].all(x, " * 9 + "true" + ")" * 9
DEEP = "{{ " + "!" * 600_000 + "a }}"
CYCLE = "context: [{name: a, variable: {value: '{{ b }}'}}, {name: b, variable: {value: '{{ a }}'}}]"
SPLIT = "list: \"split(request.object.data.many, ',')\""
DENIED = "deny: {conditions: {any: [{key: '{{ element }}', operator: Equals, value: zz}]}}"
LATE = "it took longer than 5 seconds on one object"
LOST = "gatekeeper-kyverno "


def deny(key: str) -> str:
    return f'validate: {{deny: {{conditions: {{any: [{{key: "{key}", operator: Equals, value: zz}}]}}}}}}'


def annotate(value: str) -> str:
    return f'mutate: {{patchStrategicMerge: {{metadata: {{annotations: {{x: "{value}"}}}}}}}}'


def build(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


def build_cel(body: str) -> str:
    return f"{CEL_HEAD}  {body}\n"


def build_mutating(expression: str) -> str:
    applied = f"Object{{metadata: Object.metadata{{annotations: {{'x': {expression}}}}}}}"
    mutation = f'mutations: [{{patchType: ApplyConfiguration, applyConfiguration: {{expression: "{applied}"}}}}]'
    return build_cel(mutation).replace("kind: Validating", "kind: Mutating")


def check(repository: Repository, bomb: str) -> Verdict:
    config = "library: {profile: 'off'}\npolicies: {mutate: apply}\n"
    files: dict[str, str | bytes] = {"gatekeeper.yaml": config, "bomb.yaml": bomb, "g.yaml": GOOD, "o.yaml": OBJECTS}
    verdict = judge(repository(files))
    refused = [one.resource_ref.name for one in verdict.findings if one.resource_ref and one.rule == "judging/r"]
    assert refused == ["a"], verdict.coverage.gaps
    return verdict


@pytest.mark.parametrize(
    ("bomb", "file", "reason"),
    [
        # Memory: each object or the whole program is lost, and the policy with it.
        (build(deny(f"{{{{ {GROWING} }}}}")), "bomb.yaml", LOST),
        (build_cel(f"validations: [{{expression: \"{GROWING_CEL} != ''\"}}]"), "bomb.yaml", LOST),
        (build(annotate(f"{{{{ {GROWING} }}}}")), "bomb.yaml", LOST),
        (build_mutating(GROWING_CEL), "bomb.yaml", LOST),
        # Time: 100,000 elements in 100,000 elements, and a patch for each of them.
        (
            build(f"validate: {{foreach: [{{{SPLIT}, foreach: [{{{SPLIT}, {DENIED}}}]}}]}}"),
            "o.yaml",
            LATE,
        ),
        (
            build(f"mutate: {{foreach: [{{{SPLIT}, patchStrategicMerge: {{metadata: {{labels: {{x: a}}}}}}}}]}}"),
            "o.yaml",
            LATE,
        ),
        # Time: a value that contains itself as a variable.
        (build("validate: {message: 'is {{ request.object.metadata.annotations.self }}', deny: {}}"), "o.yaml", LATE),
        # Kyverno's own limits.
        (build_cel(f"validations: [{{expression: '{NESTED_CEL}'}}]"), "o.yaml", "cost limit exceeded"),
        (build(deny("{{ random('([a-z]{900}){900}') }}")), "o.yaml", "invalid repeat count"),
        (build(CYCLE, deny("{{ a }}")), "o.yaml", "failed to substitute variables in context entry"),
        (build(CYCLE, annotate("{{ a }}")), "o.yaml", "failed to substitute variables in context entry"),
    ],
    ids=[
        "memory",
        "memory in cel",
        "memory of a mutation",
        "memory of a mutation in cel",
        "loop",
        "loop of a mutation",
        "endless variable",
        "cost of cel",
        "regex",
        "cycle",
        "cycle in a mutation",
    ],
)
def test_a_bomb_is_a_gap_of_its_own(repository: Repository, bomb: str, file: str, reason: str) -> None:
    verdict = check(repository, bomb)
    assert verdict.decision == "incomplete"
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert gap.file == file and reason in gap.reason and "bomb" in gap.reason


def test_a_loop_over_many_elements_is_judged(repository: Repository) -> None:
    body = "deny: {conditions: {any: [{key: '{{ element }}', operator: Equals, value: a}]}}"
    verdict = check(repository, build(f"validate: {{message: m, foreach: [{{{SPLIT}, {body}}}]}}"))
    assert verdict.decision == "refused" and "bomb/r" in [one.rule for one in verdict.findings]


def test_mutations_that_explode_together_are_gaps_of_their_objects(repository: Repository) -> None:
    """Each policy squares the length of a value, which needs too much memory the second time only."""
    squaring = "{{ replace_all(request.object.data.long, 'a', request.object.data.long) }}"
    policy = build(f'mutate: {{patchStrategicMerge: {{data: {{long: "{squaring}"}}}}}}')
    verdict = check(repository, f"{policy}---\n{policy.replace('bomb', 'bomb2')}")
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    assert gap.file == "o.yaml" and "mutating policies could not be applied to ConfigMap shop/c" in gap.reason


def test_a_policy_that_cannot_be_compiled_is_refused_alone() -> None:
    bomb, good = parse_resources(build(deny(DEEP))), parse_resources(GOOD)
    program = KyvernoProgram([*bomb, *good], [], [])
    descriptions, _ = program.describe()
    assert [(one.rules, one.mutating) for one in descriptions] == [((), ()), ((), ["r"]), (["r"], ())]
    assert LOST in descriptions[0].refusals[0]
    [results] = program.evaluate([(parse_resources(OBJECTS)[0].json, None)])
    assert [(one.policy, one.status) for one in results] == [(2, "fail")]
