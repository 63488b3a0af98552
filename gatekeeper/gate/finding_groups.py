"""Groups findings of one cause into one finding: a Secret with several readable values is one finding with all keys.

Waivers, the baseline and the comparison with an earlier commit apply to each key, so findings are grouped after them:
a key that is waived never hides another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gatekeeper.model import FieldPath, Finding, Severity

# What a group says, by rule; the keys follow.
GROUP_MESSAGES = {
    "plaintext/secret": "{count} values of the Secret are stored in plaintext: {keys}",
    "render/random-value": "{count} values of the Secret are new with each rendering, made at random: {keys}",
}
SEVERITY_ORDER: tuple[Severity, ...] = ("error", "warning", "info")
MAX_LISTED_KEYS = 20


def group_findings(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for all keys of a Secret in one file that have the same waiver and age; all other findings unchanged.

    A group is at the place of its first key and has the highest severity of its members.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        if finding.rule in GROUP_MESSAGES and finding.resource_ref and not finding.members:
            key: tuple[object, ...] = (
                finding.rule,
                finding.location.file,
                finding.resource_ref,
                finding.waiver,
                finding.is_preexisting,
            )
        else:
            key = (number,)
        groups.setdefault(key, []).append(finding)
    return [_merge_findings(group) for group in groups.values()]


def ungroup_findings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings with each group replaced by its members."""
    for finding in findings:
        yield from finding.members or (finding,)


def _merge_findings(findings: Sequence[Finding]) -> Finding:
    if len(findings) == 1:
        return findings[0]
    members = sorted(findings, key=lambda finding: (finding.location.line or 0, finding.location.column or 0))
    keys = list(dict.fromkeys(f"`{_format_key(member.field_path)}`" for member in members))
    more = f" and {len(keys) - MAX_LISTED_KEYS} more" if len(keys) > MAX_LISTED_KEYS else ""
    return members[0]._replace(
        severity=min((member.severity for member in members), key=SEVERITY_ORDER.index),
        message=GROUP_MESSAGES[members[0].rule].format(count=len(keys), keys=", ".join(keys[:MAX_LISTED_KEYS]) + more),
        hint="; ".join(dict.fromkeys(member.hint for member in members)),
        members=tuple(members),
    )


def _format_key(path: FieldPath | None) -> str:
    return ".".join(map(str, path or ()))
