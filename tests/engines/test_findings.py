"""Findings about a position in a file."""

from __future__ import annotations

from gatekeeper.engines import findings
from gatekeeper.model import Location


def test_a_finding_in_a_file_is_an_error_at_its_position() -> None:
    finding = findings.build_file_finding("a.env", "team/rule", "no", (3, 7), "yes")
    assert (finding.location, finding.severity, finding.resource_ref) == (Location("a.env", 3, 7), "error", None)
