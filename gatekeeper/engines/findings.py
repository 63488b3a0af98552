"""Constructors of findings, for a field of a resource and for a position in a file."""

from __future__ import annotations

from gatekeeper.model import FieldPath, Finding, Location, Resource, Severity


def build_finding(
    resource: Resource,
    rule: str,
    message: str,
    path: FieldPath,
    *,
    hint: str = "",
    severity: Severity = "error",
    is_key: bool = False,
) -> Finding:
    """Builds a finding about a field of a resource.

    Args:
        path: the field; the finding is located at the deepest part of the path that exists.
        hint: what to do about it.
        is_key: locate the key of the field instead of its value.
    """
    location = resource.origin.find_location(path, is_key)
    return Finding(
        rule=rule,
        severity=severity,
        message=message,
        location=location,
        resource_ref=resource.ref,
        field_path=path,
        hint=hint,
        location_precision="field",
    )


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
