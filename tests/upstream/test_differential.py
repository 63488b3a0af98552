"""The program and a real API server agree on thousands of manifests with faults."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
import pytest

from gatekeeper.engines.schema.crds import encode_definition, parse_crd
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.validation import ApiServerAnswer, KindBatch, validate_objects
from tests.upstream import api_server, mutations
from tests.upstream.api_server import ApiServer, ServerAnswer
from tests.upstream.mutations import CRD, Mutant

COUNT, SEED = 4000, 20261128
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EXAMPLE_GROUP = "example.com"
# Answers that depend on the state or the settings of a cluster: (what the message contains, why).
EXCLUSIONS = (
    ("failed to allocate IP", "the ranges of cluster IPs are a setting, and other Services have some of them"),
    ("already exists", "another object of the cluster has the name"),
)


class Comparison(NamedTuple):
    """One manifest, and both answers."""

    mutant: Mutant
    server: ServerAnswer
    ours: ApiServerAnswer

    @property
    def refusals(self) -> frozenset[tuple[str, str]]:
        return frozenset((fault.type, fault.field) for fault in self.ours.faults if fault.type != "Warning")

    @property
    def is_excluded(self) -> bool:
        return any(text in self.server.message for text, _ in EXCLUSIONS)

    @property
    def agrees(self) -> bool:
        return not self.ours.unchecked and self.server.is_accepted == (not self.refusals)

    @property
    def agrees_on_causes(self) -> bool:
        """Whether the fields are the same; after a strict decoding error the server looks no further."""
        if self.server.is_accepted or not self.server.causes:
            return True
        mine = {(kind, field or "<nil>") for kind, field in self.refusals}
        theirs = {(kind, field or "<nil>") for kind, field in self.server.causes}
        return theirs <= mine if "strict decoding" in self.server.message else theirs == mine

    def describe(self) -> str:
        value = self.mutant.value
        lines = [
            f"{value['kind']}: {self.mutant.change}",
            f"  server: {self.server.status} {self.server.message[:300]}",
        ]
        return "\n".join([*lines, f"  ours:   {self.ours.unchecked} {[*self.ours.faults][:3]}"])


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return mutations.load_manifests()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, manifests: list[dict[str, Any]]) -> Iterator[ApiServer]:
    with api_server.running(tmp_path_factory.mktemp("server")) as running:
        for one in manifests:
            if one["kind"] == CRD and one["spec"]["group"] == EXAMPLE_GROUP:
                running.machine.make(CRD_PATH, one)
                running.machine.wait(f"/apis/{EXAMPLE_GROUP}/v1/{one['spec']['names']['plural']}")
        # A dry run does not wait until the definition is served; a list of its objects does.
        for version in {one["apiVersion"] for one in manifests}:
            running.discover(version)
        yield running


def definitions(manifests: Sequence[dict[str, Any]]) -> dict[tuple[str, str], bytes]:
    kinds = [kind for one in manifests if one["kind"] == CRD for kind in parse_crd(one)]
    return {(kind.api_version, kind.kind): encode_definition(kind) for kind in kinds}


def validate(client: UpstreamClient, manifests: list[dict[str, Any]], values: Sequence[Any]) -> list[ApiServerAnswer]:
    """The answers of the program, in the order of the values."""
    known = definitions(manifests)
    places: dict[tuple[str, str], list[int]] = {}
    for number, value in enumerate(values):
        places.setdefault((value["apiVersion"], value["kind"]), []).append(number)
    batches = [
        KindBatch(*key, [orjson.dumps(values[number]) for number in numbers], known.get(key, b""))
        for key, numbers in places.items()
    ]
    answers: dict[int, ApiServerAnswer] = {}
    for numbers, found in zip(places.values(), validate_objects(client, batches, ()), strict=True):
        answers.update(zip(numbers, found, strict=True))
    return [answers[number] for number in range(len(values))]


def compare(
    client: UpstreamClient, server: ApiServer, manifests: list[dict[str, Any]], mutants: Sequence[Mutant]
) -> list[Comparison]:
    values = [mutant.value for mutant in mutants]
    ours = validate(client, manifests, values)
    return [Comparison(*one) for one in zip(mutants, server.create_all(values), ours, strict=True)]


def test_both_accept_the_valid_manifests(
    client: UpstreamClient, server: ApiServer, manifests: list[dict[str, Any]]
) -> None:
    found = compare(client, server, manifests, [Mutant(one, "nothing") for one in manifests])
    refused = [one for one in found if not one.is_excluded and (one.refusals or not one.agrees)]
    assert not refused, "\n".join(one.describe() for one in refused)


def test_both_refuse_the_same_manifests(
    client: UpstreamClient, server: ApiServer, manifests: list[dict[str, Any]]
) -> None:
    mutants = list(mutations.mutate(manifests, COUNT, SEED))
    start = time.monotonic()
    found = [one for one in compare(client, server, manifests, mutants) if not one.is_excluded]
    refused = sum(not one.server.is_accepted for one in found)
    print(f"{len(found)} compared, {refused} refused, {time.monotonic() - start:.1f} s")
    assert len(found) > COUNT * 0.97
    assert refused > COUNT * 0.3
    different = [one for one in found if not one.agrees]
    assert not different, f"{len(different)}\n" + "\n".join(one.describe() for one in different[:40])
    other_causes = [one for one in found if not one.agrees_on_causes]
    assert not other_causes, f"{len(other_causes)}\n" + "\n".join(one.describe() for one in other_causes[:40])
