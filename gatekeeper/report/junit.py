"""The JUnit XML report, for CI systems that show tests, such as Jenkins, GitLab and Azure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from gatekeeper.file_names import to_printable
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Verdict
from gatekeeper.report import places

# Characters that XML 1.0 does not allow, not even escaped.
FORBIDDEN_CHARACTERS = compile_lazily("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes one suite: a failure for each error, an error for each fatal gap, a passed case for everything else.

    Warnings are passed cases with their message as output, because they refuse nothing.
    """
    del root, colour
    gaps = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    errors = [finding for finding in verdict.active_findings if finding.severity == "error"]
    others = [finding for finding in verdict.active_findings if finding.severity != "error"]
    waived = [finding for finding in verdict.findings if finding.waiver or finding.is_preexisting]
    total = len(verdict.findings) + len(gaps) + 1
    counts = {"tests": str(total), "failures": str(len(errors)), "errors": str(len(gaps))}
    suites = ElementTree.Element("testsuites", {"name": "gatekeeper", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gatekeeper", "skipped": str(len(waived)), **counts})
    ElementTree.SubElement(suite, "testcase", {"classname": "gatekeeper", "name": f"verdict: {verdict.decision}"})
    for finding in errors:
        failure = ElementTree.SubElement(_add_case(suite, finding), "failure")
        failure.set("message", _replace_forbidden(places.count_places(finding)))
        failure.set("type", _replace_forbidden(finding.rule))
        failure.text = _format_finding(finding)
    for finding in others:
        ElementTree.SubElement(_add_case(suite, finding), "system-out").text = _format_finding(finding)
    for finding in waived:
        skipped = ElementTree.SubElement(_add_case(suite, finding), "skipped")
        if finding.waiver:
            skipped.set(
                "message", _replace_forbidden(f"waived until {finding.waiver.expires}: {finding.waiver.reason}")
            )
        else:
            skipped.set("message", "in the repository before the change")
    for gap in gaps:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _replace_forbidden(gap.file), "name": "not checked"}
        )
        ElementTree.SubElement(case, "error", {"message": _replace_forbidden(gap.reason), "type": "not checked"})
    return _serialize(suites)


class ReportedTest(Protocol):
    """A policy test and its result."""

    @property
    def name(self) -> str:
        """The file and the name of the test: `FILE: NAME`."""

    @property
    def passed(self) -> bool:
        """Whether the test passed."""

    @property
    def error(self) -> str:
        """Why the test could not be evaluated; empty if it could."""

    @property
    def message(self) -> str:
        """Why the test failed."""


def render_policy_tests(results: Sequence[ReportedTest]) -> str:
    """Writes policy tests as one suite."""
    errors = sum(bool(trial.error) for trial in results)
    failures = sum(not trial.passed and not trial.error for trial in results)
    counts = {"tests": str(len(results)), "failures": str(failures), "errors": str(errors)}
    suites = ElementTree.Element("testsuites", {"name": "gatekeeper policy test", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gatekeeper policy test", **counts})
    for trial in results:
        file, _, name = trial.name.partition(": ")
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _replace_forbidden(file), "name": _replace_forbidden(name or file)}
        )
        if trial.error:
            ElementTree.SubElement(case, "error", {"message": _replace_forbidden(trial.error), "type": "not evaluated"})
        elif not trial.passed:
            ElementTree.SubElement(
                case, "failure", {"message": _replace_forbidden(trial.message or "failed"), "type": "test"}
            )
    return _serialize(suites)


def _serialize(suites: ElementTree.Element) -> str:
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _add_case(suite: ElementTree.Element, finding: Finding) -> ElementTree.Element:
    about = f" ({finding.resource_ref})" if finding.resource_ref else ""
    case = ElementTree.SubElement(suite, "testcase", {"classname": _replace_forbidden(finding.location.file)})
    case.set("name", _replace_forbidden(f"{finding.rule}{about}"))
    case.set("file", _replace_forbidden(finding.location.file))
    if finding.location.line is not None:
        case.set("line", str(finding.location.line))
    return case


def _format_finding(finding: Finding) -> str:
    where = ":".join(str(part) for part in finding.location if part is not None)
    hint = f"\nhelp: {finding.hint}" if finding.hint else ""
    described = places.describe_places(finding)
    named = f"\n{described}" if described else ""
    return _replace_forbidden(f"{where}: {finding.severity}: {finding.message} [{finding.rule}]{named}{hint}")


def _replace_forbidden(text: str) -> str:
    return FORBIDDEN_CHARACTERS.sub("\ufffd", to_printable(text))
