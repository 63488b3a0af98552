"""Waivers: findings that somebody answers for, with a reason and an end, in a comment or in `waivers.yaml`.

A comment waives the line that it stands on; on a line of its own, the next line, or the whole document where that line
starts one:

    # gatekeeper:waive rule=images/latest-tag expires=2027-01-31 reason="the vendor has no tags" owner=shop ticket=OPS-7
"""

from __future__ import annotations

import datetime
import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gatekeeper.config import Config
from gatekeeper.gate import baseline
from gatekeeper.gate.baseline import Baseline
from gatekeeper.model import AppliedWaiver, Finding, Gap, Location, ParsedDocument, format_path
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

COMMENT_PATTERN = re.compile(r"^(.*?)(?:#|//|;)\s*gatekeeper:waive\b(.*)$")
UNUSED_WAIVER_RULE = "waivers/unused"
REQUIRED_FIELDS = ("rule", "reason", "expires")
WAIVER_FIELDS = (*REQUIRED_FIELDS, "owner", "ticket")
SCOPE_FIELDS = ("kind", "namespace", "name", "field", "file")
RENEW_HINT = "mend what it silences, or renew it; a baseline by `gatekeeper check --write-baseline`"
SYNTAX_HINT = 'write rule=…, expires=2027-01-31 and reason="…"; owner and ticket as well if you like'


class Waiver(NamedTuple):
    """One waiver: which rule it silences (a pattern), where, and who says so until when.

    Attributes:
        location: where it is written.
        scope_patterns: patterns by field of the finding (`kind`, `namespace`, `name`, `field`, `file`).
        line_range: the first and last line that a comment is for; None for all.
    """

    rule: str
    reason: str
    expires: datetime.date
    owner: str
    ticket: str
    location: Location
    scope_patterns: Mapping[str, str]
    line_range: tuple[int, int] | None = None

    def matches(self, finding: Finding) -> bool:
        """Whether a finding is meant."""
        if not fnmatch.fnmatchcase(finding.rule, self.rule):
            return False
        if self.line_range is not None and not self.line_range[0] <= (finding.location.line or 0) <= self.line_range[1]:
            return False
        ref = finding.resource_ref
        held = {
            "kind": ref.kind if ref else "",
            "namespace": ref.namespace if ref else "",
            "name": ref.name if ref else "",
            "field": format_path(finding.field_path),
            "file": finding.location.file,
        }
        return all(fnmatch.fnmatchcase(held[key], pattern) for key, pattern in self.scope_patterns.items())


def apply(
    findings: Sequence[Finding], tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, today: datetime.date
) -> list[Finding]:
    """The findings, those that are waived marked so; and what is wrong with the waivers themselves."""
    waivers, wrong = _load_waivers(tree, parsed_files, {finding.location.file for finding in findings}, config)
    ends = [_check_expiry(f"the waiver of `{waiver.rule}`", waiver, today, config) for waiver in waivers]
    valid = [waiver for waiver, ended in zip(waivers, ends, strict=True) if ended is None]
    used: set[Location] = set()
    out: list[Finding] = []
    past = baseline.load(tree.root, config)
    fault = _check_baseline(past, today, config) if past else None
    known = past.fingerprints if past and not fault else frozenset()
    for finding in findings:
        waiver = next((one for one in valid if one.matches(finding)), None)
        if past and not waiver and finding.fingerprint in known:
            finding = finding._replace(
                waiver=AppliedWaiver(past.reason, past.expires.isoformat(), "", "", past.location)
            )
        elif waiver:
            used.add(waiver.location)
            end = waiver.expires.isoformat()
            finding = finding._replace(
                waiver=AppliedWaiver(waiver.reason, end, waiver.owner, waiver.ticket, waiver.location)
            )
        out.append(finding)
    out.extend(wrong)
    if fault:
        out.append(fault)
    gone = known - {finding.fingerprint for finding in findings}
    if past and gone and tree.is_whole:
        message = f"{len(gone)} of the {len(known)} findings in the baseline are there no more"
        out.append(Finding(UNUSED_WAIVER_RULE, "warning", message, past.location, hint=RENEW_HINT))
    out.extend(ended for ended in ends if ended)
    for waiver in valid if tree.is_whole else ():
        if waiver.location not in used:
            message = f"the waiver of `{waiver.rule}` silences nothing"
            out.append(Finding(UNUSED_WAIVER_RULE, "warning", message, waiver.location, hint="remove it"))
    return out


def _check_baseline(loaded_baseline: Baseline, today: datetime.date, config: Config) -> Finding | None:
    """Why the baseline silences nothing, if it does not."""
    if loaded_baseline.error:
        message = f"the baseline {loaded_baseline.error}"
        return Finding(
            "waivers/malformed", "error", message, loaded_baseline.location, hint="until then everything counts"
        )
    return _check_expiry("the baseline", loaded_baseline, today, config)


def _check_expiry(subject: str, waiver: Waiver | Baseline, today: datetime.date, config: Config) -> Finding | None:
    """The finding where a waiver has ended, or would last too long; None where it holds."""
    if waiver.expires < today:
        return Finding(
            "waivers/expired", "error", f"{subject} ended on {waiver.expires}", waiver.location, hint=RENEW_HINT
        )
    if waiver.expires > today + datetime.timedelta(days=config.waiver_days):
        message = f"{subject} ends on {waiver.expires}, more than {config.waiver_days:g} days from now"
        hint = "choose an earlier end; `waivers.maxDays` says how long one may be"
        return Finding("waivers/too-long", "error", message, waiver.location, hint=hint)
    return None


def _load_waivers(
    tree: Tree, parsed_files: Sequence[ParsedFile], finding_files: set[str], config: Config
) -> tuple[list[Waiver], list[Finding]]:
    read: list[Waiver | Finding] = []
    by_file = {source.file: source for source in parsed_files}
    for file in dict.fromkeys([*by_file, *sorted(finding_files & set(tree.files))]):
        content = tree.read_file(file)
        if not isinstance(content, Gap) and b"gatekeeper:waive" in content:
            read.extend(_parse_comments(file, content.decode("utf-8", "replace"), by_file.get(file)))
    source = by_file.get(config.waivers)
    for document in source.documents if source else ():
        read.extend(_parse_entries(config.waivers, document))
    return [one for one in read if isinstance(one, Waiver)], [one for one in read if isinstance(one, Finding)]


def _parse_comments(file: str, text: str, parsed_file: ParsedFile | None) -> Iterator[Waiver | Finding]:
    lines = text.splitlines()
    starts = [document.start[0] for document in parsed_file.documents] if parsed_file else []
    for number, line in enumerate(lines, 1):
        found = COMMENT_PATTERN.match(line)
        if not found:
            continue
        place = Location(file, number, len(found.group(1)) + 1)
        try:
            said = dict(part.split("=", 1) for part in shlex.split(found.group(2)))
        except ValueError:
            yield _report_malformed(place, "cannot be read")
            continue
        first = number if found.group(1).strip() else _find_next_line(lines, number)
        last = min([start - 1 for start in starts if start > first] or [len(lines)]) if first in starts else first
        yield _parse_waiver(said, place, {"file": file}, (first, last), WAIVER_FIELDS)


def _find_next_line(lines: Sequence[str], number: int) -> int:
    """The next line that is neither empty nor a comment nor the start of a document, from 1."""
    for later, line in enumerate(lines[number:], number + 1):
        if line.strip() and not line.lstrip().startswith(("#", "//", "---")):
            return later
    return number


def _parse_entries(file: str, document: ParsedDocument) -> Iterator[Waiver | Finding]:
    read = list(_read_entries(file, document))
    yield from (waiver for waiver in read if isinstance(waiver, Waiver))
    malformed = [finding for finding in read if isinstance(finding, Finding)]
    if malformed:
        # Slow to load, and a file without an error does not need it.
        from gatekeeper.workspace import config_schemas

        errors = config_schemas.find_errors("waivers", document)
        yield from (_report_schema_error(Location(file, line, column), text) for line, column, text in errors)
        yield from () if errors else malformed


def _report_schema_error(location: Location, problem: str) -> Finding:
    message = f"{problem}; until then the waiver silences nothing"
    return Finding("waivers/malformed", "error", message, location, hint=SYNTAX_HINT)


def _read_entries(file: str, document: ParsedDocument) -> Iterator[Waiver | Finding]:
    """The waivers of a file; what this accepts, the JSON Schema of the file accepts."""
    value = documents.to_value(document)
    listed = value.get("waivers") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        yield _report_malformed(Location(file, *document.start), "must have a list `waivers`")
        return
    for index, entry in enumerate(listed):
        place = Location(file, *document.locate(("waivers", index))[1:])
        if not isinstance(entry, dict) or not all(isinstance(text, str | int | float) for text in entry.values()):
            yield _report_malformed(place, "must be a mapping of texts")
            continue
        scope = {key: str(entry[key]) for key in SCOPE_FIELDS if key in entry}
        yield _parse_waiver(entry, place, scope, None, (*WAIVER_FIELDS, *SCOPE_FIELDS))


def _parse_waiver(
    values: Mapping[str, Any],
    location: Location,
    scope_patterns: Mapping[str, str],
    line_range: tuple[int, int] | None,
    allowed_fields: Sequence[str],
) -> Waiver | Finding:
    texts = {key: str(value).strip() for key, value in values.items()}
    unknown = [key for key in texts if key not in allowed_fields]
    if unknown:
        return _report_malformed(location, f"knows no `{unknown[0]}`")
    lacking = [key for key in REQUIRED_FIELDS if not texts.get(key)]
    if lacking:
        return _report_malformed(location, f"has no `{lacking[0]}`")
    try:
        expires = datetime.date.fromisoformat(texts["expires"])
    except ValueError:
        return _report_malformed(location, "ends on no date; write it as 2027-01-31")
    owner, ticket = texts.get("owner", ""), texts.get("ticket", "")
    return Waiver(texts["rule"], texts["reason"], expires, owner, ticket, location, scope_patterns, line_range)


def _report_malformed(location: Location, problem: str) -> Finding:
    return Finding(
        "waivers/malformed", "error", f"a waiver {problem}, so it silences nothing", location, hint=SYNTAX_HINT
    )
