"""The JUnit report: what a CI system counts as failed, broken and skipped."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from hypothesis import given, settings

from gatekeeper.model import Verdict
from gatekeeper.report import junit
from tests.report.verdicts import EMPTY, ERROR, FULL, PAST, VERDICTS


class Outcome(NamedTuple):
    """A policy test and its result."""

    name: str
    passed: bool
    error: str = ""
    message: str = ""


def parse_suite(text: str) -> ElementTree.Element:
    """The only suite of a report."""
    [suite] = ElementTree.fromstring(text.encode())
    return suite


def test_junit_counts_what_it_holds() -> None:
    suite = parse_suite(junit.render(FULL, Path()))
    assert [suite.get(word) for word in ("tests", "failures", "errors")] == ["5", "1", "1"]
    assert len(suite) == 5
    [failure] = suite.iter("failure")
    assert failure.get("message") == ERROR.message
    assert [case.get("line") for case in suite if case.find("failure") is not None] == ["2"]
    assert parse_suite(junit.render(EMPTY, Path())).get("tests") == "1"


def test_waived_and_old_findings_are_skipped_tests() -> None:
    suite = parse_suite(junit.render(PAST, Path()))
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "2")
    assert [skipped.get("message") for skipped in suite.iter("skipped")] == [
        "in the repository before the change",
        "waived until 2027-01-01: moving",
    ]


def test_a_warning_passes_with_its_message_as_output() -> None:
    suite = parse_suite(junit.render(FULL._replace(findings=(FULL.findings[1],)), Path()))
    [output] = suite.iter("system-out")
    assert suite.get("failures") == "0"
    assert output.text == "b.yaml:1: warning: too much \ufffd [rbac/wildcard]"


@settings(deadline=None)
@given(VERDICTS)
def test_any_verdict_is_well_formed_xml_with_true_counts(verdict: Verdict) -> None:
    suite = parse_suite(junit.render(verdict, Path()))
    assert len(suite) == int(suite.get("tests", ""))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert len(list(suite.iter(tag))) == int(suite.get(count, ""))


def test_a_policy_test_that_cannot_be_evaluated_is_an_error_and_no_failure() -> None:
    results = [
        Outcome("a.yaml: good", True),
        Outcome("a.yaml: bad", False, message="found nothing"),
        Outcome("b.yaml", False, error="undefined function \x00"),
    ]
    suite = parse_suite(junit.render_policy_tests(results))
    assert [suite.get(word) for word in ("tests", "failures", "errors")] == ["3", "1", "1"]
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        ("a.yaml", "good"),
        ("a.yaml", "bad"),
        ("b.yaml", "b.yaml"),
    ]
    [failure], [error] = suite.iter("failure"), suite.iter("error")
    assert failure.get("message") == "found nothing"
    assert error.get("message") == "undefined function \ufffd"
