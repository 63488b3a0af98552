"""Paths, findings and verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.model import (
    CLUSTER_FILE,
    AppliedWaiver,
    Coverage,
    FieldPath,
    Finding,
    Gap,
    Location,
    NamespacedName,
    ObjectRef,
    Verdict,
    build_ref,
    deduplicate,
    format_path,
    get_field,
    name_of,
    parse_path,
)
from tests.engines.resources import parse_resources

STEP = st.integers(0, 99) | st.text("ab./-", max_size=4).filter(lambda text: not text.startswith("["))
FINDING = Finding("images/latest-tag", "error", "uses latest", Location("a.yaml", 3, 5))
WAIVED = FINDING._replace(waiver=AppliedWaiver("r", "2027-01-31", "", "", Location("w.yaml")))


@given(st.lists(STEP, max_size=5).map(tuple))
def test_a_path_survives_its_text(path: tuple[str | int, ...]) -> None:
    assert parse_path(format_path(path)) == path


def test_a_missing_field_is_none() -> None:
    value = {"a": [{"b": 1}]}
    assert get_field(value, ("a", 0, "b")) == 1
    assert [get_field(value, path) for path in (("a", 1), ("a", "b"), ("x", "y"), ("a", 0, "b", "c"))] == [None] * 4


def test_a_fingerprint_stays_when_lines_move_and_changes_with_the_file() -> None:
    assert FINDING._replace(location=Location("a.yaml", 9, 9)).fingerprint == FINDING.fingerprint
    assert FINDING._replace(location=Location("b.yaml", 3, 5)).fingerprint != FINDING.fingerprint


def test_findings_are_sorted_and_each_is_listed_once() -> None:
    first = FINDING._replace(location=Location("a.yaml", 1, 1))
    assert deduplicate([FINDING, first, FINDING._replace(hint="other")]) == (first, FINDING)


def test_the_decision_depends_on_findings_that_count_and_on_fatal_gaps() -> None:
    fatal, harmless = Gap("a", "why", is_fatal=True), Gap("b", "why")
    cases = (
        (Verdict(), "accepted", 0),
        (Verdict((WAIVED, FINDING._replace(is_preexisting=True), FINDING._replace(severity="warning"))), "accepted", 0),
        (Verdict((FINDING,), Coverage(gaps=(harmless,))), "refused", 1),
        (Verdict((FINDING,), Coverage(gaps=(fatal,))), "incomplete", 3),
    )
    for verdict, decision, exit_code in cases:
        assert (verdict.decision, verdict.exit_code) == (decision, exit_code)


def test_a_reference_shows_kind_namespace_and_name() -> None:
    assert str(ObjectRef("apps/v1", "Deployment", "shop", "web")) == "Deployment shop/web"
    assert [ObjectRef(version, "X", "", "a").group for version in ("v1", "apps/v1")] == ["", "apps"]


@pytest.mark.parametrize("metadata", [None, [], "text", {}, {"name": 7, "namespace": ["x"]}])
def test_a_name_that_is_not_text_counts_as_missing(metadata: object) -> None:
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    assert build_ref(value) == ObjectRef("v1", "Pod", "", "")


def test_the_name_of_an_object_has_the_default_namespace_where_it_has_none() -> None:
    assert name_of({"metadata": {"name": "a", "namespace": "b"}}, "c") == NamespacedName("b", "a")
    assert name_of({"metadata": {"name": "a"}}, "c") == NamespacedName("c", "a")
    assert (str(NamespacedName("b", "a")), str(NamespacedName("", "a"))) == ("b/a", "a")


@pytest.mark.parametrize(
    ("path", "is_key", "line", "column"),
    [
        (("data", "a"), False, 5, 6),
        (("data", "a"), True, 5, 3),
        (("data", "b", "c"), False, 4, 1),
        ((), False, 1, 1),
    ],
)
def test_a_finding_is_at_the_deepest_part_of_its_field_that_exists(
    path: FieldPath, is_key: bool, line: int, column: int
) -> None:
    [resource] = parse_resources("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  a: x\n")
    finding = resource.build_finding("team/rule", "no", path, hint="yes", severity="info", is_key=is_key)
    assert finding.location == Location("a.yaml", line, column)
    assert (finding.resource_ref, finding.field_path, finding.location_precision) == (resource.ref, path, "field")
    assert (finding.rule, finding.message, finding.hint, finding.severity) == ("team/rule", "no", "yes", "info")


def test_findings_on_different_objects_of_a_cluster_are_all_kept() -> None:
    def find(name: str, file: str = CLUSTER_FILE) -> Finding:
        return FINDING._replace(location=Location(file, 1, 1), resource_ref=ObjectRef("v1", "ConfigMap", "prod", name))

    assert len(deduplicate([find("a"), find("b"), find("a")])) == 2
    assert len(deduplicate([find("a", "base.yaml"), find("b", "base.yaml")])) == 1, "two overlays of one base"
