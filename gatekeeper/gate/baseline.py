"""The baseline: what a repository with a past already had when the gate came; one waiver for all of it, with an end.

A finding is known by its fingerprint, which stays when lines move.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.host import atomic_file
from gatekeeper.model import Finding, Location

SCHEMA = "gatekeeper/baseline/v1"
DEFAULT_REASON = "known when the gate was introduced"


class Baseline(NamedTuple):
    """The fingerprints that are known, why they do not count, and the last day on which they do not."""

    location: Location
    reason: str = DEFAULT_REASON
    expires: datetime.date = datetime.date.max
    fingerprints: frozenset[str] = frozenset()
    error: str = ""


def load(root: Path, config: Config) -> Baseline | None:
    """The repository's baseline, with a fault where it cannot be used; None where it has none."""
    path = root / config.baseline
    place = Location(config.baseline, 1, 1)
    if not path.is_file():
        return None
    try:
        held = orjson.loads(path.read_bytes())
        return _parse_baseline(held, place)
    except OSError as error:
        return Baseline(place, error=f"cannot be read: {error.strerror or error}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Baseline(place, error="is no baseline; write it again with `gatekeeper check --write-baseline`")


def _parse_baseline(document: Any, location: Location) -> Baseline:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    fingerprints = frozenset(str(entry["fingerprint"]) for entry in document["findings"])
    return Baseline(location, str(document["reason"]), datetime.date.fromisoformat(document["expires"]), fingerprints)


def write(findings: Iterable[Finding], path: Path, config: Config, today: datetime.date) -> int:
    """Writes a new baseline of all findings that nobody else waived; returns how many."""
    old = (one for one in findings if not one.waiver or one.waiver.place.file == config.baseline)
    known = {
        one.fingerprint: {
            "file": one.location.file,
            "rule": one.rule,
            "message": one.message,
            "fingerprint": one.fingerprint,
        }
        for one in old
        if not one.rule.startswith("waivers/")
    }
    once = sorted(known.values(), key=lambda entry: tuple(entry.values()))
    expires = today + datetime.timedelta(days=config.waiver_days)
    held = {"schema": SCHEMA, "reason": DEFAULT_REASON, "expires": expires.isoformat(), "findings": once}
    atomic_file.write(path, orjson.dumps(held, option=orjson.OPT_INDENT_2) + b"\n")
    return len(once)
