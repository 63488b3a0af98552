"""The index of the last run: which files changed, and when their verdict alone is enough."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.gate import incremental_index
from gatekeeper.gate.incremental_index import MAX_CHANGED_FILES, FileEntry, IncrementalIndex
from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, Verdict
from tests.report.verdicts import TEXT, VERDICTS

ENGINE = ("regorus", "1")


def list_index(**digests: str) -> bytes:
    """Git's listing of an index with these files."""
    return b"".join(f"H 100644 {digest} 0\t{file}\0".encode() for file, digest in digests.items())


def find(rule: str, file: str, message: str = "m") -> Finding:
    return Finding(rule, "error", message, Location(file, 1))


ENTRIES = {"a": FileEntry("facts-a", 2, 1), "b": FileEntry("facts-b", 3, 3)}
WHOLE = Verdict(
    (find("r", "a"), find("r", "b")),
    Coverage(4, 9, 8, (Gap("a", "old gap"), Gap("c", "a picture"))),
    ENGINE,
    "sha256:0",
    "c0ffee",
    is_cacheable=True,
)
INDEX = IncrementalIndex(list_index(a="1", b="2", c="3"), ENTRIES, WHOLE, ("settings",))
PART = Verdict((find("r", "a", "new"),), Coverage(1, 5, 4), ENGINE, "sha256:0", is_cacheable=True)


@settings(deadline=None)
@given(
    st.binary(max_size=40),
    st.dictionaries(TEXT, st.builds(FileEntry, TEXT, st.integers(0, 99), st.integers(0, 99)), max_size=3),
    VERDICTS,
    st.lists(TEXT, max_size=3).map(tuple),
)
def test_any_index_is_decoded_as_it_was_encoded(
    listing: bytes, entries: dict[str, FileEntry], verdict: Verdict, names: tuple[str, ...]
) -> None:
    index = IncrementalIndex(listing, entries, verdict, names)
    assert incremental_index.from_bytes(incremental_index.to_bytes(index)) == index


def test_changed_files_are_those_with_another_digest_and_those_of_the_work_tree() -> None:
    changed = incremental_index.find_changed_files(INDEX, list_index(a="1", b="9", c="3"), ["c"])
    assert changed == frozenset({"b", "c"})
    assert incremental_index.find_changed_files(INDEX, INDEX.git_listing, []) == frozenset()


@pytest.mark.parametrize("listing", [list_index(a="1", b="2"), list_index(a="1", b="2", c="3", d="4"), b""])
def test_a_file_that_was_added_or_removed_needs_a_run_on_everything(listing: bytes) -> None:
    assert incremental_index.find_changed_files(INDEX, listing, []) is None


def test_too_many_changed_files_need_a_run_on_everything() -> None:
    names = [f"f{number}" for number in range(MAX_CHANGED_FILES)]
    assert incremental_index.find_changed_files(INDEX, INDEX.git_listing, names) == frozenset(names)
    assert incremental_index.find_changed_files(INDEX, INDEX.git_listing, [*names, "one-more"]) is None


def test_a_file_with_a_name_that_is_not_utf_8_is_found() -> None:
    index = INDEX._replace(git_listing=b"H 100644 1 0\t\xff.yaml\0")
    assert incremental_index.find_changed_files(index, b"H 100644 2 0\t\xff.yaml\0", []) == frozenset({"\udcff.yaml"})


def test_files_are_checked_alone_only_if_no_finding_depends_on_others() -> None:
    assert incremental_index.can_check_alone(INDEX, ["a", "b"])
    assert not incremental_index.can_check_alone(INDEX, ["a", "c"]), "the index does not know c"
    waived = find("r", "a")._replace(waiver=AppliedWaiver("r", "2027-01-01", "", "", Location("waivers.yaml", 1)))
    for finding in (waived, find("references/missing", "a"), find("waivers/unused", "a")):
        index = INDEX._replace(verdict=WHOLE._replace(findings=(finding,)))
        assert not incremental_index.can_check_alone(index, ["a"]), finding.rule
        assert incremental_index.can_check_alone(index, ["b"])


def test_the_merged_verdict_has_the_new_findings_and_counts_of_the_changed_file() -> None:
    merged = incremental_index.merge_verdict(INDEX, frozenset({"a"}), PART, {"a": "facts-a"})
    assert merged is not None
    assert [(finding.location.file, finding.message) for finding in merged.findings] == [("a", "new"), ("b", "m")]
    assert merged.coverage == Coverage(4, 9 - 2 + 5, 8 - 1 + 4, (Gap("c", "a picture"),))
    assert (merged.revision, merged.is_cacheable) == ("c0ffee", True)


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        (PART, {"a": "other"}),
        (PART, {}),
        (PART._replace(engine=("opa", "1")), {"a": "facts-a"}),
        (PART._replace(policy_digest="sha256:1"), {"a": "facts-a"}),
        (PART._replace(is_cacheable=False), {"a": "facts-a"}),
    ],
    ids=["other facts", "no facts", "other engine", "other policies", "depends on the clock"],
)
def test_nothing_is_merged_where_other_files_can_be_affected(part: Verdict, facts: dict[str, str]) -> None:
    assert incremental_index.merge_verdict(INDEX, frozenset({"a"}), part, facts) is None


def test_the_digest_of_facts_depends_on_their_order_and_limits() -> None:
    digests = {incremental_index.hash_facts(facts) for facts in (["ab", "c"], ["a", "bc"], ["c", "ab"], [])}
    assert len(digests) == 4
