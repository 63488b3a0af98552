"""Waivers: accepted findings, each with a reason and an expiry date, in a comment or in `waivers.yaml`.

A comment waives findings on its own line. A comment on a separate line waives the next line, or the whole document
where that line starts one:

    # gatekeeper:waive rule=images/latest-tag expires=2027-01-31 reason="the vendor has no tags" owner=shop ticket=OPS-7
"""

from __future__ import annotations

import datetime
import fnmatch
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.errors import UsageError
from gatekeeper.file_names import to_printable
from gatekeeper.gate import baseline
from gatekeeper.gate.baseline import Baseline
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import AppliedWaiver, Finding, Gap, Location, ParsedDocument, format_path
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace import documents
from gatekeeper.workspace.text_encoding import convert_to_utf8
from gatekeeper.workspace.tree import ParsedFile, Tree

COMMENT_PATTERN = compile_lazily(r"^(.*?)(?:#|//|;)\s*gatekeeper:waive\b(.*)$")
WAIVER_MARK = b"gatekeeper:waive"
UNUSED_WAIVER_RULE = "waivers/unused"
REQUIRED_FIELDS = ("rule", "reason", "expires")
WAIVER_FIELDS = (*REQUIRED_FIELDS, "owner", "ticket")
SCOPE_FIELDS = ("kind", "namespace", "name", "field", "file")
RENEW_HINT = "fix the finding, or renew the waiver; renew a baseline with `gatekeeper check --write-baseline`"
REWRITE_HINT = "rewrite the baseline: `gatekeeper check --write-baseline`"
SYNTAX_HINT = 'write rule=…, expires=2027-01-31 and reason="…"; owner and ticket are optional'


class Waiver(NamedTuple):
    """One waiver.

    Attributes:
        rule: a pattern for the names of the waived rules.
        location: where the waiver is written.
        scope_patterns: patterns by field of the finding (`kind`, `namespace`, `name`, `field`, `file`).
        line_range: the first and last line that a comment applies to; None for all lines.
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
        """Whether the waiver applies to a finding."""
        if not fnmatch.fnmatchcase(finding.rule, self.rule):
            return False
        if self.line_range is not None and not self.line_range[0] <= (finding.location.line or 0) <= self.line_range[1]:
            return False
        ref = finding.resource_ref
        values = {
            "kind": ref.kind if ref else "",
            "namespace": ref.namespace if ref else "",
            "name": ref.name if ref else "",
            "field": format_path(finding.field_path),
            "file": finding.location.file,
        }
        # A pattern in `waivers.yaml` can only have the readable form of a name that is not UTF-8.
        return all(
            any(fnmatch.fnmatchcase(text, pattern) for text in (values[key], to_printable(values[key])))
            for key, pattern in self.scope_patterns.items()
        )


def apply(
    findings: Sequence[Finding], tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, today: datetime.date
) -> list[Finding]:
    """Marks the waived findings, and adds findings about the waivers themselves: expired, malformed, unused.

    Unused waivers are reported only for trees that have all files of a repository.

    Raises:
        UsageError: the file of the waivers is a folder, or cannot be read.
    """
    _check_file(tree, config.waivers)
    waivers, malformed = _load_waivers(tree, parsed_files, {finding.location.file for finding in findings}, config)
    expiry_findings = [_check_expiry(f"the waiver of `{waiver.rule}`", waiver, today, config) for waiver in waivers]
    valid = [waiver for waiver, problem in zip(waivers, expiry_findings, strict=True) if problem is None]
    used: set[Location] = set()
    out: list[Finding] = []
    known = baseline.load(tree.root, config)
    baseline_problem = _check_baseline(known, today, config) if known else None
    known_counts = known.counts if known and not baseline_problem else {}
    matched = [(finding, next((waiver for waiver in valid if waiver.matches(finding)), None)) for finding in findings]
    counts = Counter(finding.fingerprint for finding, waiver in matched if not waiver)
    for finding, waiver in matched:
        # More findings than the baseline has: the new one cannot be identified, so all of them count.
        if known and not waiver and counts[finding.fingerprint] <= known_counts.get(finding.fingerprint, 0):
            finding = finding._replace(
                waiver=AppliedWaiver(known.reason, known.expires.isoformat(), "", "", known.location)
            )
        elif waiver:
            used.add(waiver.location)
            expires = waiver.expires.isoformat()
            finding = finding._replace(
                waiver=AppliedWaiver(waiver.reason, expires, waiver.owner, waiver.ticket, waiver.location)
            )
        out.append(finding)
    out.extend(malformed)
    if baseline_problem:
        out.append(baseline_problem)
    resolved = Counter(known_counts) - Counter(finding.fingerprint for finding in findings)
    if known and resolved and tree.is_whole:
        total = sum(known_counts.values())
        message = f"{resolved.total()} of {total} findings in the baseline are resolved"
        out.append(Finding(UNUSED_WAIVER_RULE, "warning", message, known.location, hint=REWRITE_HINT))
    out.extend(problem for problem in expiry_findings if problem)
    for waiver in valid if tree.is_whole else ():
        if waiver.location not in used:
            message = f"the waiver of `{waiver.rule}` matches no finding"
            out.append(Finding(UNUSED_WAIVER_RULE, "warning", message, waiver.location, hint="remove it"))
    return out


def _check_file(tree: Tree, file: str) -> None:
    """Refuses what stands in place of the waiver file, because its waivers would be missing without a word.

    Raises:
        UsageError: it is a folder, or cannot be read.
    """
    reason = "is a folder, not a file with waivers" if (tree.root / file).is_dir() else ""
    if not reason and file in tree.files and isinstance(gap := tree.read_file(file), Gap):
        reason = gap.reason
    if not reason:
        reason = next((gap.reason for gap in tree.gaps if gap.file == file and gap.is_fatal), "")
    if reason:
        raise UsageError(f"{to_printable(file)}: {reason}; correct it, or `waivers.file` in gatekeeper.yaml")


def _check_baseline(loaded_baseline: Baseline, today: datetime.date, config: Config) -> Finding | None:
    """The finding about a baseline that cannot be used or has expired; None for a valid one."""
    if loaded_baseline.error:
        message = f"the baseline {loaded_baseline.error}"
        return Finding(
            "waivers/malformed",
            "error",
            message,
            loaded_baseline.location,
            hint="until it is corrected, all findings count",
        )
    return _check_expiry("the baseline", loaded_baseline, today, config)


def _check_expiry(subject: str, waiver: Waiver | Baseline, today: datetime.date, config: Config) -> Finding | None:
    """The finding about a waiver that has expired or is valid for too long; None for a valid one."""
    if waiver.expires < today:
        return Finding(
            "waivers/expired", "error", f"{subject} expired on {waiver.expires}", waiver.location, hint=RENEW_HINT
        )
    if waiver.expires > today + datetime.timedelta(days=config.waiver_days):
        message = f"{subject} expires on {waiver.expires}, in more than {config.waiver_days:g} days"
        hint = "choose an earlier date; `waivers.maxDays` in the config is the limit"
        return Finding("waivers/too-long", "error", message, waiver.location, hint=hint)
    return None


def _load_waivers(
    tree: Tree, parsed_files: Sequence[ParsedFile], finding_files: set[str], config: Config
) -> tuple[list[Waiver], list[Finding]]:
    entries: list[Waiver | Finding] = []
    by_file = {source.file: source for source in parsed_files}
    for file in dict.fromkeys([*by_file, *sorted(finding_files & set(tree.files))]):
        raw = tree.read_file(file)
        # In UTF-16 and UTF-32 the mark has zeros.
        if isinstance(raw, Gap) or (WAIVER_MARK not in raw and b"\0" not in raw):
            continue
        content = convert_to_utf8(raw)
        if content is not None and WAIVER_MARK in content:
            entries.extend(_parse_comments(file, content.decode("utf-8", "replace"), by_file.get(file)))
    source = by_file.get(config.waivers)
    for document in source.documents if source else ():
        entries.extend(_parse_entries(config.waivers, document))
    waivers = [entry for entry in entries if isinstance(entry, Waiver)]
    return waivers, [entry for entry in entries if isinstance(entry, Finding)]


def _parse_comments(file: str, text: str, parsed_file: ParsedFile | None) -> Iterator[Waiver | Finding]:
    # Few runs read a waiver in a comment.
    import shlex

    lines = text.splitlines()
    starts = [document.start[0] for document in parsed_file.documents] if parsed_file else []
    for number, line in enumerate(lines, 1):
        match = COMMENT_PATTERN.match(line)
        if not match:
            continue
        location = Location(file, number, len(match.group(1)) + 1)
        try:
            values = dict(part.split("=", 1) for part in shlex.split(match.group(2)))
        except ValueError:
            yield _report_malformed(location, "cannot be read")
            continue
        first = number if match.group(1).strip() else _find_next_line(lines, number)
        last = min([start - 1 for start in starts if start > first] or [len(lines)]) if first in starts else first
        yield _parse_waiver(values, location, {"file": file}, (first, last), WAIVER_FIELDS)


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
    message = f"{problem}; the waiver is ignored until this is fixed"
    return Finding("waivers/malformed", "error", message, location, hint=SYNTAX_HINT)


def _read_entries(file: str, document: ParsedDocument) -> Iterator[Waiver | Finding]:
    """The waivers of a file; what this accepts, the JSON Schema of the file accepts."""
    value = documents.to_value(document)
    entries = value.get("waivers") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        yield _report_malformed(Location(file, *document.start), "must have a list `waivers`")
        return
    for index, entry in enumerate(entries):
        location = Location(file, *document.locate(("waivers", index))[1:])
        if not isinstance(entry, dict) or not all(isinstance(text, str | int | float) for text in entry.values()):
            yield _report_malformed(location, "must be a mapping of strings")
            continue
        scope = {key: str(entry[key]) for key in SCOPE_FIELDS if key in entry}
        yield _parse_waiver(entry, location, scope, None, (*WAIVER_FIELDS, *SCOPE_FIELDS))


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
        return _report_malformed(location, f"has an unknown field `{unknown[0]}`")
    missing = [key for key in REQUIRED_FIELDS if not texts.get(key)]
    if missing:
        return _report_malformed(location, f"has no `{missing[0]}`")
    try:
        expires = datetime.date.fromisoformat(texts["expires"])
    except ValueError:
        return _report_malformed(location, "has an `expires` that is not a date; write for example 2027-01-31")
    owner, ticket = texts.get("owner", ""), texts.get("ticket", "")
    return Waiver(
        rule=texts["rule"],
        reason=texts["reason"],
        expires=expires,
        owner=owner,
        ticket=ticket,
        location=location,
        scope_patterns=scope_patterns,
        line_range=line_range,
    )


def _report_malformed(location: Location, problem: str) -> Finding:
    return Finding(
        "waivers/malformed", "error", f"a waiver {problem}, so it waives nothing", location, hint=SYNTAX_HINT
    )
