"""Groups findings of one cause into one finding.

A Secret with several readable values is one finding with all keys, and a missing object that is referenced in several
places is one finding with all places.

Waivers, the baseline and the comparison with an earlier commit apply to each key and place, so findings are grouped
after them: a key or place that is waived never hides another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gatekeeper.model import FieldPath, Finding, Severity, deduplicate

# What a group says, by rule; the keys follow.
GROUP_MESSAGES = {
    "plaintext/secret": "{count} values of the Secret are stored in plaintext: {keys}",
    "render/random-value": "{count} values of the Secret are new with each rendering, made at random: {keys}",
}
# Rules whose message names the cause completely, such as the missing object: equal messages have one cause.
CAUSE_RULES = {"references/missing", "references/key", "references/store", "schema/missing", "sources/unlocked"}
SEVERITY_ORDER: tuple[Severity, ...] = ("error", "warning", "info")
MAX_LISTED_KEYS = 20


def group_findings(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for all keys of a Secret in one file, and for all places of one cause; all others unchanged.

    The members of a group have the same waiver and age. A group is at the place of its first member, and has the
    highest severity of its members.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        state = finding.waiver, finding.is_preexisting
        key: tuple[object, ...] = (number,)
        if finding.rule in GROUP_MESSAGES and finding.resource_ref and not finding.members:
            key = (finding.rule, finding.location.file, finding.resource_ref, *state)
        elif finding.rule in CAUSE_RULES and not finding.members:
            key = (finding.rule, finding.message, *state)
        groups.setdefault(key, []).append(finding)
    return [_merge_findings(group) for group in groups.values()]


def ungroup_findings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings with each group replaced by its members."""
    for finding in findings:
        yield from finding.members or (finding,)


def regroup_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Groups findings of which some are groups already, such as those of several verdicts."""
    return deduplicate(group_findings(deduplicate(ungroup_findings(findings))))


def _merge_findings(findings: Sequence[Finding]) -> Finding:
    if len(findings) == 1:
        return findings[0]
    members = sorted(findings, key=_get_place)
    hint = "; ".join(dict.fromkeys(member.hint for member in members))
    severity = min((member.severity for member in members), key=SEVERITY_ORDER.index)
    if members[0].rule in CAUSE_RULES:
        return members[0]._replace(severity=severity, hint=hint, members=tuple(members))
    keys = list(dict.fromkeys(f"`{_format_key(member.field_path)}`" for member in members))
    more = f" and {len(keys) - MAX_LISTED_KEYS} more" if len(keys) > MAX_LISTED_KEYS else ""
    return members[0]._replace(
        severity=severity,
        message=GROUP_MESSAGES[members[0].rule].format(count=len(keys), keys=", ".join(keys[:MAX_LISTED_KEYS]) + more),
        hint=hint,
        members=tuple(members),
    )


def _get_place(finding: Finding) -> tuple[str, int, int, tuple[str, ...]]:
    location = finding.location
    return location.file, location.line or 0, location.column or 0, finding.resource_ref or ()


def _format_key(path: FieldPath | None) -> str:
    return ".".join(map(str, path or ()))
