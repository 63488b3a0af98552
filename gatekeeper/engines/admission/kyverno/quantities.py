"""Parses numbers with units, in the notations of Kubernetes and Go, for comparison.

Sources: `k8s.io/apimachinery/pkg/api/resource` (Quantity) and Go `time.ParseDuration`.
"""

from __future__ import annotations

import re
from fractions import Fraction

QUANTITY_PATTERN = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|(?:[eE][+-]?\d{1,3}))?"
)
BINARY_UNITS = {unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
DECIMAL_UNITS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
}
UNITS = {**BINARY_UNITS, **DECIMAL_UNITS}
DURATION_PATTERN = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
SECONDS_BY_UNIT = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
# Longer texts are neither quantities nor durations; the limit bounds the arithmetic.
MAX_LENGTH = 64


def parse_quantity(text: str) -> Fraction | None:
    """Parses a Kubernetes quantity (`100m`, `1.5Gi`, `2e3`); None for other texts."""
    match = QUANTITY_PATTERN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if not match:
        return None
    number, unit = match.groups()
    if unit and unit[0] in "eE" and len(unit) > 1:
        return Fraction(number) * Fraction(10) ** int(unit[1:])
    return Fraction(number) * UNITS.get(unit or "", Fraction(1))


def parse_duration(text: str) -> Fraction | None:
    """Parses a Go duration (`1h30m`, `0`) to seconds; None for other texts."""
    if text in ("0", "+0", "-0"):
        return Fraction(0)
    match = DURATION_PATTERN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if not match:
        return None
    total = sum(
        (Fraction(number) * SECONDS_BY_UNIT[unit] for number, unit in DURATION_PART.findall(match.group(2))),
        Fraction(0),
    )
    return -total if match.group(1) == "-" else total
