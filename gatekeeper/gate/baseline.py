"""The baseline: one waiver, with an expiry date, for all findings that a repository had when it adopted the gate.

A finding is identified by its fingerprint, which stays the same when lines move. Findings that differ only by their
line (two keys that one leak rule finds in one file) share a fingerprint, so the baseline counts them: if there are more
than it has, all of them count, because the new one cannot be identified.
"""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.gate import finding_groups
from gatekeeper.host import atomic_file, json_text
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.model import Finding, Location
from gatekeeper.named_tuple import NamedTuple

SCHEMA = "gatekeeper/baseline/v1"
DEFAULT_REASON = "known when the gate was introduced"


class Baseline(NamedTuple):
    """The known findings, why they do not count, and the last day on which they do not count.

    Attributes:
        counts: the number of known findings by fingerprint.
        error: why the baseline cannot be used; empty if it can.
    """

    location: Location
    reason: str = DEFAULT_REASON
    expires: datetime.date = datetime.date.max
    counts: Mapping[str, int] = MappingProxyType({})
    error: str = ""


def load(root: Path, config: Config) -> Baseline | None:
    """Reads the baseline of a repository; None if it has none. A baseline that cannot be used has an `error`."""
    path = root / config.baseline
    location = Location(config.baseline, 1, 1)
    if not os.path.lexists(path):
        return None
    try:
        return _parse_baseline(orjson.loads(read_regular_file(path)), location)
    except OSError as error:
        return Baseline(location, error=f"cannot be read: {error.strerror or error}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Baseline(
            location, error="is not a baseline file; write it again with `gatekeeper check --write-baseline`"
        )


def _parse_baseline(document: Any, location: Location) -> Baseline:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    counts = Counter(str(entry["fingerprint"]) for entry in document["findings"])
    return Baseline(location, str(document["reason"]), datetime.date.fromisoformat(document["expires"]), counts)


def write(findings: Iterable[Finding], path: Path, config: Config, today: datetime.date) -> int:
    """Writes a baseline of all findings that no other waiver covers.

    Returns:
        The number of findings in it.
    """
    entries = [
        {
            "file": finding.location.file,
            "rule": finding.rule,
            "message": finding.message,
            "fingerprint": finding.fingerprint,
        }
        for finding in finding_groups.ungroup_findings(findings)
        if not finding.rule.startswith("waivers/")
        and (not finding.waiver or finding.waiver.place.file == config.baseline)
    ]
    ordered = sorted(entries, key=lambda entry: tuple(entry.values()))
    expires = today + datetime.timedelta(days=config.waiver_days)
    document = {"schema": SCHEMA, "reason": DEFAULT_REASON, "expires": expires.isoformat(), "findings": ordered}
    atomic_file.write(path, json_text.format_report(document).encode())
    return len(ordered)
