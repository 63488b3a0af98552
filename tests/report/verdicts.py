"""Verdicts for tests of reports: one of each kind of finding and gap, and any verdict at all."""

from __future__ import annotations

from hypothesis import strategies as st

from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict

POD = ObjectRef("v1", "Pod", "prod", "web")
ERROR = Finding(
    "images/latest-tag",
    "error",
    "50% | a <b>,\nnew: line",
    Location("a b/é.yaml", 2, 8),
    POD,
    ("spec", 0),
    "mend it",
    "field",
)
WARNING = Finding("rbac/wildcard", "warning", "too much \x07", Location("b.yaml", 1), ObjectRef("v1", "Node", "", "n"))
NOTE = Finding("yaml/syntax", "info", "file only", Location("c.yaml"))
GAPS = (Gap("d.yaml", "cannot be read", is_fatal=True), Gap("e.bin", "a binary file"))
FULL = Verdict((ERROR, WARNING, NOTE), Coverage(5, 2, 1, GAPS), ("regorus", "1"), "sha256:" + "0" * 64, "c0ffee")
WAIVED = ERROR._replace(waiver=AppliedWaiver("moving", "2027-01-01", "ann", "T-1", Location("waivers.yaml", 2)))
PAST = FULL._replace(findings=(ERROR, WARNING._replace(is_preexisting=True), WAIVED), shard=(1, 2))
MISSING = ERROR._replace(
    rule="references/missing",
    message="Secret db is missing",
    severity="warning",
    resource_ref=ObjectRef("v1", "Pod", "test", "api"),
)
PLACES = (
    ERROR._replace(rule="references/missing", message="Secret db is missing"),
    *(MISSING._replace(location=Location("z.yaml", line, 3)) for line in range(4, 8)),
)
CAUSE = FULL._replace(findings=(PLACES[0]._replace(members=PLACES),))
EMPTY = Verdict(coverage=Coverage(1, 1, 1))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(0, 9999)
NUMBERS_OR_NONE = st.none() | st.integers(1, 9999)
LOCATIONS = st.builds(Location, TEXT, NUMBERS_OR_NONE, NUMBERS_OR_NONE)
# Names that `format_path` can write so that `parse_path` reads them again.
STEPS = st.one_of(st.text("abz", min_size=1, max_size=4), st.just("example.com/a"), st.integers(0, 9))
FINDINGS = st.builds(
    Finding,
    TEXT,
    st.sampled_from(["error", "warning", "info"]),
    TEXT,
    LOCATIONS,
    st.none() | st.builds(ObjectRef, TEXT, TEXT, TEXT, TEXT),
    st.none() | st.lists(STEPS, min_size=1, max_size=4).map(tuple),
    TEXT,
    st.sampled_from(["field", "traced", "resource", "file"]),
    st.none() | st.builds(AppliedWaiver, TEXT.filter(bool), st.dates().map(str), TEXT, TEXT, LOCATIONS),
    st.booleans(),
    st.just(()),
)
COVERAGES = st.builds(
    Coverage,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.lists(st.builds(Gap, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
)
VERDICTS = st.builds(
    Verdict,
    st.lists(FINDINGS, max_size=3).map(tuple),
    COVERAGES,
    st.tuples(TEXT, TEXT),
    st.just("sha256:" + "0" * 64),
    st.none() | TEXT,
    st.just(False),
    st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
