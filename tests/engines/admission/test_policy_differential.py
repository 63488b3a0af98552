"""Random ValidatingAdmissionPolicies have the verdict and the messages of a real API server."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
import pytest
import yaml

from gatekeeper.engines.admission import engine
from gatekeeper.engines.protocol import EngineResult
from tests.conftest import Repository, needs
from tests.engines.admission import random_policies
from tests.engines.admission.random_policies import PARAM_KINDS, Round, Value
from tests.engines.contexts import build_context
from tests.upstream import api_server
from tests.upstream.api_server import ApiServer, ServerAnswer

SEED, ROUNDS, POLICIES, OBJECTS = 20261128, 8, 40, 120
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY_PATH = f"{ADMISSION}/validatingadmissionpolicies"
BINDING_PATH = f"{ADMISSION}/validatingadmissionpolicybindings"
WARNING = re.compile(r"Validation failed for ValidatingAdmissionPolicy '.*?' with binding '(.*?)': (.*)", re.DOTALL)
DENIAL = re.compile(r"ValidatingAdmissionPolicy '(.*?)' (?:with binding '(.*?)' )?denied request: (.*)", re.DOTALL)
SECONDS = 60.0

# As in a cluster, but for what looks at other objects.
OPTIONS = (
    "--disable-admission-plugins",
    "NamespaceLifecycle,Priority,RuntimeClass,LimitRanger,ResourceQuota,PodSecurity",
)

Message = tuple[str, str]


class Verdict(NamedTuple):
    """What the policies said about an object: (binding, message)."""

    denials: frozenset[Message]
    warnings: frozenset[Message]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server.running(tmp_path_factory.mktemp("server"), OPTIONS) as running:
        content = random_policies.load_content()
        running.discover("apiextensions.k8s.io/v1")
        for one in content:
            if one["kind"] == "CustomResourceDefinition":
                running.create(one)
                for version in one["spec"]["versions"]:
                    base = f"/apis/{one['spec']['group']}/{version['name']}"
                    running.machine.wait(f"{base}/{one['spec']['names']['plural']}")
        objects = list(yaml.safe_load_all(random_policies.OBJECTS))
        for version in {one["apiVersion"] for one in (*content, *objects)}:
            running.discover(version)
        for one in content:
            if one["kind"] != "CustomResourceDefinition" and one["metadata"]["name"] != "default":
                running.create(one)
        # No controller creates them.
        for namespace in ("default", "prod", "dev"):
            running.create(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
            )
        yield running


def build_canaries(number: int) -> list[tuple[Value, Value]]:
    """Policies that refuse the ConfigMap `canary`: one for each kind of parameters, so that these are known, too."""
    canaries = []
    for index, (api_version, kind) in enumerate(PARAM_KINDS):
        name = f"canary{number}-{index}"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        match = {"resourceRules": [{**rule, "resourceNames": ["canary"]}]}
        checks = [{"expression": "params == null", "message": name}]
        spec: Value = {"matchConstraints": match, "validations": checks}
        spec["paramKind"] = {"apiVersion": api_version, "kind": kind}
        ref = {"name": "limits", "parameterNotFoundAction": "Allow"} | (
            {} if kind == "Gadget" else {"namespace": "prod"}
        )
        head: Value = {"apiVersion": random_policies.GROUP, "metadata": {"name": name}}
        policy = {**head, "kind": "ValidatingAdmissionPolicy", "spec": spec}
        bound = {"policyName": name, "validationActions": ["Warn"], "paramRef": ref}
        canaries.append((policy, {**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound}))
    return canaries


def install(server: ApiServer, number: int, made: Round) -> None:
    """Creates the policies of a round, and waits until those that were created last are active: they have an order."""
    canaries = build_canaries(number)
    for policy in (*made.policies, *(one for one, _ in canaries)):
        server.machine.make(POLICY_PATH, policy)
    for binding in (*made.bindings, *(one for _, one in canaries)):
        server.machine.make(BINDING_PATH, binding)
    canary: Value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "canary"}}
    end = time.monotonic() + SECONDS
    while len([one for one in server.create_all([canary])[0].warnings if f": canary{number}-" in one]) < len(canaries):
        assert time.monotonic() < end, "the policies are not active"
        time.sleep(0.1)


def remove(server: ApiServer) -> None:
    for path in (BINDING_PATH, POLICY_PATH):
        status, _ = server.machine.ask("DELETE", path)
        assert status == 200


def read_answer(answer: ServerAnswer) -> Verdict:
    assert answer.is_accepted or DENIAL.search(answer.message), answer.message
    found = DENIAL.search(answer.message)
    denials = {(found[2] or f"policy {found[1]}", found[3])} if found else set()
    warnings = {(one[1], one[2]) for one in map(WARNING.match, answer.warnings) if one}
    return Verdict(frozenset(denials), frozenset(warnings))


def evaluate(repository: Repository, made: Round) -> EngineResult:
    files: dict[str, str | bytes] = {"content.yaml": random_policies.CONTENT}
    files["policies.yaml"] = yaml.safe_dump_all([*made.policies, *made.bindings])
    files |= {f"o{index}.yaml": orjson.dumps(one) for index, one in enumerate(made.objects)}
    return engine.evaluate(build_context(repository(files)))


def list_verdicts(result: EngineResult, made: Round) -> list[Verdict]:
    """The verdict of each object; an `Audit` has no trace in an answer of the API server."""
    found: list[tuple[set[Message], set[Message]]] = [(set(), set()) for _ in made.objects]
    for one in result.findings:
        match = re.fullmatch(r"o(\d+)\.yaml", one.location.file)
        if match:
            denials, warnings = found[int(match[1])]
            message = one.rule.partition("/")[2], one.message
            if one.severity != "info":
                (denials if one.severity == "error" else warnings).add(message)
    return [Verdict(frozenset(denials), frozenset(warnings)) for denials, warnings in found]


def agrees(server: Verdict, ours: Verdict) -> bool:
    """Whether the verdicts are the same; of several refusals, the API server reports one."""
    return (
        server.denials <= ours.denials
        and bool(server.denials) == bool(ours.denials)
        and (shorten(server.warnings) == shorten(ours.warnings))
    )


def shorten(messages: frozenset[Message]) -> set[Message]:
    """The messages as the API server cuts warnings if there are many of them."""
    return {(binding, message[:100]) for binding, message in messages}


@needs("gatekeeper-upstream")
def test_random_policies_have_the_api_servers_verdict(server: ApiServer, repository: Repository) -> None:
    chance = random.Random(SEED)
    different: list[Any] = []
    counts = [0, 0, 0]
    for number in range(ROUNDS):
        made = random_policies.build_round(chance, number, POLICIES, OBJECTS)
        install(server, number, made)
        theirs = [read_answer(one) for one in server.create_all(made.objects)]
        remove(server)
        result = evaluate(repository, made)
        gaps = [*result.gaps, *result.global_gaps]
        assert not gaps, "\n".join(dict.fromkeys(one.reason for one in gaps))
        for value, one, other in zip(made.objects, theirs, list_verdicts(result, made), strict=True):
            counts = [counts[0] + 1, counts[1] + bool(one.denials), counts[2] + len(one.warnings)]
            if not agrees(one, other):
                different.append(describe(value, one, other, made))
    print(f"{counts[0]} objects, {counts[1]} refused, {counts[2]} warnings, {len(different)} different")
    assert not different, "\n\n".join(different[:12])
    assert counts[1] > counts[0] * 0.1 and counts[2] > counts[0] * 0.5


def describe(value: Value, server: Verdict, ours: Verdict, made: Round) -> str:
    only_server = (server.denials - ours.denials) | (server.warnings - ours.warnings)
    only_ours = (ours.denials - server.denials) if not server.denials else frozenset()
    only_ours |= ours.warnings - server.warnings
    names = {name for name, _ in only_server | only_ours}
    bindings = [one for one in made.bindings if one["metadata"]["name"] in names]
    policies = {one["spec"]["policyName"] for one in bindings}
    involved: Sequence[Value] = [*bindings, *(one for one in made.policies if one["metadata"]["name"] in policies)]
    specs = "\n".join(orjson.dumps(one["spec"]).decode() for one in involved)
    return f"{value}\n only the server: {sorted(only_server)}\n only ours: {sorted(only_ours)}\n{specs}"
