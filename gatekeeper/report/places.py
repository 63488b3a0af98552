"""The places of a finding that stands for several with one cause, such as a missing object."""

from __future__ import annotations

from gatekeeper.model import Finding

MAX_NAMED = 3


def list_places(finding: Finding) -> tuple[Finding, ...]:
    """The findings at all places of one cause, the first included; empty for a finding at one place."""
    is_cause = bool(finding.members) and finding.members[0].message == finding.message
    return finding.members if is_cause else ()


def describe_places(finding: Finding) -> str:
    """The number of places and the first of them: `65 places: a.yaml:3, b.yaml:4, c.yaml:5 and 62 more`; or empty."""
    places = list_places(finding)
    named = (":".join(str(part) for part in place.location[:2] if part is not None) for place in places[:MAX_NAMED])
    more = f" and {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
    return f"{len(places)} places: {', '.join(named)}{more}" if places else ""


def count_places(finding: Finding) -> str:
    """The message of a finding, with the number of its places if there are several."""
    places = list_places(finding)
    return f"{finding.message} ({len(places)} places)" if places else finding.message


def describe_finding(finding: Finding) -> str:
    """The message of a finding, with its places if there are several."""
    places = describe_places(finding)
    return f"{finding.message} ({places})" if places else finding.message
