"""Findings about a position in a file; `Resource.build_finding` builds those about a field of a resource."""

from __future__ import annotations

from gatekeeper.model import Finding, Location, Severity


def build_file_finding(
    file: str,
    rule: str,
    message: str,
    position: tuple[int, int],
    hint: str,
    *,
    severity: Severity = "error",
) -> Finding:
    """Builds a finding about a position (line and column, from 1) in a file."""
    return Finding(rule, severity, message, Location(file, *position), hint=hint, location_precision="field")
