"""The verdict blocks objects with errors, and every object if a part could not be checked."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply import gate_refusal
from gatekeeper.model import Coverage, Finding, Gap, Location, ObjectRef, Verdict

OBJECT: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def finding(file: str, message: str = "no", severity: Any = "error") -> Finding:
    return Finding("rule", severity, message, Location(file, 3))


def test_error_in_the_folder_refuses_and_one_elsewhere_does_not() -> None:
    inside, outside = Verdict((finding("apps/a.yaml"),)), Verdict((finding("apps-more/a.yaml"),))
    refusal = gate_refusal.find_refusal(inside, [OBJECT], ["apps"])
    assert refusal is not None and refusal.reason == "Refused" and not refusal.is_ready
    assert refusal.message == "apps/a.yaml:3: rule: no"
    assert gate_refusal.find_refusal(outside, [OBJECT], ["apps"]) is None
    assert gate_refusal.find_refusal(outside, [OBJECT], [""]) is not None


@pytest.mark.parametrize(
    ("namespace", "is_refused"), [("prod", True), ("staging", False), ("", True)], ids=["same", "other", "unknown"]
)
def test_error_of_an_object_refuses_the_object_of_the_same_namespace_only(namespace: str, is_refused: bool) -> None:
    ref = ObjectRef("v1", "ConfigMap", namespace, "a")
    verdict = Verdict((finding("elsewhere/a.yaml")._replace(resource_ref=ref),))
    objects = [{**OBJECT, "metadata": {"name": "a", "namespace": "prod"}}]
    assert (gate_refusal.find_refusal(verdict, objects, ["apps"]) is not None) == is_refused
    assert gate_refusal.find_refusal(verdict, [OBJECT], ["apps"]) is not None


def test_each_place_of_one_cause_refuses_what_it_is_about() -> None:
    places = (finding("a/a.yaml"), finding("b/b.yaml"), finding("c/c.yaml", severity="warning"))
    verdict = Verdict((places[0]._replace(members=places),))
    refusals = [gate_refusal.find_refusal(verdict, [], [folder]) for folder in ("a", "b", "c", "d")]
    assert [refusal and refusal.message for refusal in refusals] == [
        "a/a.yaml:3: rule: no",
        "b/b.yaml:3: rule: no",
        None,
        None,
    ]


def test_warnings_refuse_nothing_and_many_errors_are_counted() -> None:
    assert gate_refusal.find_refusal(Verdict((finding("a", severity="warning"),)), [], [""]) is None
    many = Verdict(tuple(finding(f"{number}.yaml") for number in range(5)))
    refusal = gate_refusal.find_refusal(many, [], [""])
    assert refusal is not None and refusal.message.endswith("2.yaml:3: rule: no (and 2 more)")


def test_fatal_gap_refuses_everything() -> None:
    gap = Gap("broken.yaml", "cannot be parsed", is_fatal=True)
    refusal = gate_refusal.find_refusal(Verdict(coverage=Coverage(gaps=(gap,))), [], ["apps"])
    assert refusal is not None and refusal.reason == "NotJudged" and "broken.yaml" in refusal.message
