"""Findings of engines: where they are located."""

from __future__ import annotations

import pytest

from gatekeeper.engines import findings
from gatekeeper.model import FieldPath, Location
from tests.engines.resources import parse_resources


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
    finding = findings.build_finding(resource, "team/rule", "no", path, hint="yes", severity="info", is_key=is_key)
    assert finding.location == Location("a.yaml", line, column)
    assert (finding.resource_ref, finding.field_path, finding.location_precision) == (resource.ref, path, "field")
    assert (finding.rule, finding.message, finding.hint, finding.severity) == ("team/rule", "no", "yes", "info")


def test_a_finding_in_a_file_is_an_error_at_its_position() -> None:
    finding = findings.build_file_finding("a.env", "team/rule", "no", (3, 7), "yes")
    assert (finding.location, finding.severity, finding.resource_ref) == (Location("a.env", 3, 7), "error", None)
