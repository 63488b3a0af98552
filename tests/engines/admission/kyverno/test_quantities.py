"""Quantities and durations."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno.quantities import parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("100m", 0.1),
        ("1Ki", 1024.0),
        ("2e3", 2000.0),
        ("1E", 1e18),
        ("1.5Gi", 1.5 * 2**30),
        ("x", None),
        ("1h", None),
    ],
)
def test_parse_quantity(text: str, number: float | None) -> None:
    parsed = parse_quantity(text)
    assert (float(parsed) if parsed is not None else None) == number


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400.0), ("1.5s", 1.5), ("0", 0.0), ("-1m", -60.0), ("5", None), ("1d", None)]
)
def test_parse_duration(text: str, seconds: float | None) -> None:
    parsed = parse_duration(text)
    assert (float(parsed) if parsed is not None else None) == seconds
