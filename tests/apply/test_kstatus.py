"""The status of objects equals that of the real kstatus library, for known cases and thousands of random objects."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.apply import kstatus
from tests.servers import server

NOW = datetime.datetime.now(datetime.UTC)
COUNTS = st.integers(0, 3)
WORDS = st.sampled_from(["True", "False", "Unknown"])
TYPES = (
    "Ready",
    "Available",
    "Progressing",
    "Reconciling",
    "Stalled",
    "Complete",
    "Failed",
    "ReplicaFailure",
    "PodScheduled",
    "Established",
    "NamesAccepted",
)
REASONS = ("", "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "Unschedulable", "Installing", "Other")
CONDITIONS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(TYPES), "status": WORDS, "reason": st.sampled_from(REASONS)}),
    max_size=3,
    unique_by=lambda one: one["type"],
)
KINDS = (
    ("v1", "Service"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("policy/v1", "PodDisruptionBudget"),
    ("batch/v1", "CronJob"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("example.com/v1", "Widget"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
)
STATUS = (
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "fullyLabeledReplicas",
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberReady",
    "observedGeneration",
)


@st.composite
def objects(draw: Callable[..., Any]) -> dict[str, Any]:
    api, kind = draw(st.sampled_from(KINDS))
    metadata: dict[str, Any] = {
        "name": "a",
        "creationTimestamp": draw(st.sampled_from(["2020-01-01T00:00:00Z", NOW.strftime("%Y-%m-%dT%H:%M:%SZ")])),
    }
    metadata |= draw(st.sampled_from([{}, {"generation": 1}, {"generation": 2}, {"generation": 2}]))
    metadata |= draw(st.sampled_from([{}, {}, {}, {"deletionTimestamp": "2024-01-01T00:00:00Z"}]))
    spec = draw(st.fixed_dictionaries({}, optional={"replicas": COUNTS, "progressDeadlineSeconds": st.just(600)}))
    spec |= draw(st.sampled_from([{}, {"type": "LoadBalancer"}, {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}]))
    strategy = st.sampled_from([{"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, {}])
    spec |= draw(st.fixed_dictionaries({}, optional={"updateStrategy": strategy}))
    status = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(STATUS, COUNTS)))
    status |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "conditions": CONDITIONS,
                "phase": st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "Bound"]),
                "currentRevision": st.sampled_from(["a", "b"]),
                "updateRevision": st.sampled_from(["a", "b"]),
                "containerStatuses": st.sampled_from(
                    [
                        [],
                        [{"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
                        [{"name": "x", "state": {}}],
                    ]
                ),
            },
        )
    )
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, "status": status}


@pytest.fixture(scope="module")
def real() -> Iterator[Callable[[Any], str]]:
    """The real library, in a program that answers a line for each object."""
    process = subprocess.Popen([server("kstatus")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(value: Any) -> str:
        stdin.write(orjson.dumps(value) + b"\n")
        stdin.flush()
        return str(orjson.loads(stdout.readline()))

    yield ask
    stdin.close()
    assert process.wait(10) == 0
    stdout.close()


@settings(max_examples=1500, deadline=None)
@given(value=objects())
def test_every_object_is_what_the_real_library_says(real: Callable[[Any], str], value: dict[str, Any]) -> None:
    found = real(value)
    # It refuses a phase that a Pod cannot have, which no API server lets in.
    if found != "Unknown":
        assert kstatus.compute_status(value, NOW).status == found


def job(*conditions: str, **status: Any) -> dict[str, Any]:
    held = [{"type": kind, "status": "True"} for kind in conditions]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "a"},
        "status": {"conditions": held, **status},
    }


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (job(), "InProgress"),
        (job(startTime="2024-01-01T00:00:00Z"), "InProgress"),
        (job("Complete"), "Current"),
        (job("Failed"), "Failed"),
    ],
)
def test_job_is_ready_when_it_is_complete(value: dict[str, Any], word: str) -> None:
    assert kstatus.compute_status(value, NOW).status == word
