"""The report for CI systems that show tests: JUnit's XML, as Jenkins, GitLab and Azure read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from gatekeeper.model import Finding, Verdict

# What XML 1.0 cannot hold, not even escaped.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """One suite: a failure for each error, an error for each gap that matters, a passed case for the rest.

    Warnings are passed cases with their words as output, as they do not refuse anything.
    """
    del root, colour
    gaps = [gap for gap in verdict.coverage.skipped if gap.fatal]
    errors = [finding for finding in verdict.counting if finding.severity == "error"]
    others = [finding for finding in verdict.counting if finding.severity != "error"]
    waived = [finding for finding in verdict.findings if finding.waived or finding.old]
    total = len(verdict.findings) + len(gaps) + 1
    counts = {"tests": str(total), "failures": str(len(errors)), "errors": str(len(gaps))}
    suites = ElementTree.Element("testsuites", {"name": "gatekeeper", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gatekeeper", "skipped": str(len(waived)), **counts})
    ElementTree.SubElement(suite, "testcase", {"classname": "gatekeeper", "name": f"verdict: {verdict.word}"})
    for finding in errors:
        failure = ElementTree.SubElement(_case(suite, finding), "failure")
        failure.set("message", _safe(finding.message))
        failure.set("type", finding.rule)
        failure.text = _told(finding)
    for finding in others:
        ElementTree.SubElement(_case(suite, finding), "system-out").text = _told(finding)
    for finding in waived:
        skipped = ElementTree.SubElement(_case(suite, finding), "skipped")
        if finding.waived:
            skipped.set("message", _safe(f"waived until {finding.waived.expires}: {finding.waived.reason}"))
        else:
            skipped.set("message", "there before the change")
    for gap in gaps:
        case = ElementTree.SubElement(suite, "testcase", {"classname": _safe(gap.file), "name": "not judged"})
        ElementTree.SubElement(case, "error", {"message": _safe(gap.reason), "type": "not judged"})
    return _written(suites)


class Tried(Protocol):
    """A test of policies and how it went."""

    @property
    def name(self) -> str:
        """Where it stands, and its own name: `FILE: NAME`."""

    @property
    def passed(self) -> bool:
        """Whether it went as it should."""

    @property
    def error(self) -> str:
        """Why it could not be evaluated."""

    @property
    def said(self) -> str:
        """What was wrong where it failed."""


def of_tests(trials: Sequence[Tried]) -> str:
    """Tests of policies as one suite."""
    errors = sum(bool(trial.error) for trial in trials)
    failures = sum(not trial.passed and not trial.error for trial in trials)
    counts = {"tests": str(len(trials)), "failures": str(failures), "errors": str(errors)}
    suites = ElementTree.Element("testsuites", {"name": "gatekeeper policy test", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gatekeeper policy test", **counts})
    for trial in trials:
        file, _, name = trial.name.partition(": ")
        case = ElementTree.SubElement(suite, "testcase", {"classname": _safe(file), "name": _safe(name or file)})
        if trial.error:
            ElementTree.SubElement(case, "error", {"message": _safe(trial.error), "type": "not evaluated"})
        elif not trial.passed:
            ElementTree.SubElement(case, "failure", {"message": _safe(trial.said or "failed"), "type": "test"})
    return _written(suites)


def _written(suites: ElementTree.Element) -> str:
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, finding: Finding) -> ElementTree.Element:
    about = f" ({finding.resource})" if finding.resource else ""
    case = ElementTree.SubElement(suite, "testcase", {"classname": _safe(finding.place.file)})
    case.set("name", _safe(f"{finding.rule}{about}"))
    case.set("file", _safe(finding.place.file))
    if finding.place.line is not None:
        case.set("line", str(finding.place.line))
    return case


def _told(finding: Finding) -> str:
    where = ":".join(str(part) for part in finding.place if part is not None)
    hint = f"\nhelp: {finding.hint}" if finding.hint else ""
    return _safe(f"{where}: {finding.severity}: {finding.message} [{finding.rule}]{hint}")


def _safe(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
