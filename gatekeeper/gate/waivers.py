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
from gatekeeper.model import Finding, Gap, Place, Waived, dotted
from gatekeeper.protocols import Positions
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

MARK = re.compile(r"^(.*?)(?:#|//|;)\s*gatekeeper:waive\b(.*)$")
NEEDED = ("rule", "reason", "expires")
FIELDS = (*NEEDED, "owner", "ticket")
SCOPE = ("kind", "namespace", "name", "field", "file")
RENEW = "mend what it silences, or renew it; a baseline by `gatekeeper check --write-baseline`"
EXAMPLE = 'write rule=…, expires=2027-01-31 and reason="…"; owner and ticket as well if you like'


class Waiver(NamedTuple):
    """One waiver: which rule it silences (a pattern), where, and who says so until when.

    Attributes:
        place: where it is written.
        scope: patterns by field of the finding (`kind`, `namespace`, `name`, `field`, `file`).
        lines: the first and last line that a comment is for; None for all.
    """

    rule: str
    reason: str
    expires: datetime.date
    owner: str
    ticket: str
    place: Place
    scope: Mapping[str, str]
    lines: tuple[int, int] | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is meant."""
        if not fnmatch.fnmatchcase(finding.rule, self.rule):
            return False
        if self.lines is not None and not self.lines[0] <= (finding.place.line or 0) <= self.lines[1]:
            return False
        ref = finding.resource
        held = {
            "kind": ref.kind if ref else "",
            "namespace": ref.namespace if ref else "",
            "name": ref.name if ref else "",
            "field": dotted(finding.path),
            "file": finding.place.file,
        }
        return all(fnmatch.fnmatchcase(held[key], pattern) for key, pattern in self.scope.items())


def apply(
    findings: Sequence[Finding], tree: Tree, sources: Sequence[Source], config: Config, today: datetime.date
) -> list[Finding]:
    """The findings, those that are waived marked so; and what is wrong with the waivers themselves."""
    waivers, wrong = _load(tree, sources, {finding.place.file for finding in findings}, config)
    ends = [_end(f"the waiver of `{waiver.rule}`", waiver, today, config) for waiver in waivers]
    valid = [waiver for waiver, ended in zip(waivers, ends, strict=True) if ended is None]
    used: set[Place] = set()
    out: list[Finding] = []
    past = baseline.load(tree.root, config)
    fault = _fault(past, today, config) if past else None
    known = past.fingerprints if past and not fault else frozenset()
    for finding in findings:
        waiver = next((one for one in valid if one.covers(finding)), None)
        if past and not waiver and finding.fingerprint in known:
            finding = finding._replace(waived=Waived(past.reason, past.expires.isoformat(), "", "", past.place))
        elif waiver:
            used.add(waiver.place)
            end = waiver.expires.isoformat()
            finding = finding._replace(waived=Waived(waiver.reason, end, waiver.owner, waiver.ticket, waiver.place))
        out.append(finding)
    out.extend(wrong)
    if fault:
        out.append(fault)
    gone = known - {finding.fingerprint for finding in findings}
    if past and gone and tree.is_whole:
        message = f"{len(gone)} of the {len(known)} findings in the baseline are there no more"
        out.append(Finding("waivers/unused", "warning", message, past.place, hint=RENEW))
    out.extend(ended for ended in ends if ended)
    for waiver in valid if tree.is_whole else ():
        if waiver.place not in used:
            message = f"the waiver of `{waiver.rule}` silences nothing"
            out.append(Finding("waivers/unused", "warning", message, waiver.place, hint="remove it"))
    return out


def _fault(past: Baseline, today: datetime.date, config: Config) -> Finding | None:
    """Why the baseline silences nothing, if it does not."""
    if past.fault:
        message = f"the baseline {past.fault}"
        return Finding("waivers/malformed", "error", message, past.place, hint="until then everything counts")
    return _end("the baseline", past, today, config)


def _end(what: str, waiver: Waiver | Baseline, today: datetime.date, config: Config) -> Finding | None:
    """The finding where a waiver has ended, or would last too long; None where it holds."""
    if waiver.expires < today:
        return Finding("waivers/expired", "error", f"{what} ended on {waiver.expires}", waiver.place, hint=RENEW)
    if waiver.expires > today + datetime.timedelta(days=config.waiver_days):
        message = f"{what} ends on {waiver.expires}, more than {config.waiver_days:g} days from now"
        hint = "choose an earlier end; `waivers.maxDays` says how long one may be"
        return Finding("waivers/too-long", "error", message, waiver.place, hint=hint)
    return None


def _load(
    tree: Tree, sources: Sequence[Source], found_in: set[str], config: Config
) -> tuple[list[Waiver], list[Finding]]:
    read: list[Waiver | Finding] = []
    by_file = {source.file: source for source in sources}
    for file in dict.fromkeys([*by_file, *sorted(found_in & set(tree.files))]):
        content = tree.read(file)
        if not isinstance(content, Gap) and b"gatekeeper:waive" in content:
            read.extend(_comments(file, content.decode("utf-8", "replace"), by_file.get(file)))
    source = by_file.get(config.waivers)
    for document in source.documents if source else ():
        read.extend(_entries(config.waivers, document))
    return [one for one in read if isinstance(one, Waiver)], [one for one in read if isinstance(one, Finding)]


def _comments(file: str, text: str, source: Source | None) -> Iterator[Waiver | Finding]:
    lines = text.splitlines()
    starts = [document.start[0] for document in source.documents] if source else []
    for number, line in enumerate(lines, 1):
        found = MARK.match(line)
        if not found:
            continue
        place = Place(file, number, len(found.group(1)) + 1)
        try:
            said = dict(part.split("=", 1) for part in shlex.split(found.group(2)))
        except ValueError:
            yield _malformed(place, "cannot be read")
            continue
        first = number if found.group(1).strip() else _next_line(lines, number)
        last = min([start - 1 for start in starts if start > first] or [len(lines)]) if first in starts else first
        yield _waiver(said, place, {"file": file}, (first, last), FIELDS)


def _next_line(lines: Sequence[str], number: int) -> int:
    """The next line that is neither empty nor a comment nor the start of a document, from 1."""
    for later, line in enumerate(lines[number:], number + 1):
        if line.strip() and not line.lstrip().startswith(("#", "//", "---")):
            return later
    return number


def _entries(file: str, document: Positions) -> Iterator[Waiver | Finding]:
    value = documents.value_of(document)
    listed = value.get("waivers") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        yield _malformed(Place(file, *document.start), "must have a list `waivers`")
        return
    for index, entry in enumerate(listed):
        place = Place(file, *document.locate(("waivers", index))[1:])
        if not isinstance(entry, dict):
            yield _malformed(place, "must be a mapping")
            continue
        scope = {key: str(entry[key]) for key in SCOPE if key in entry}
        yield _waiver(entry, place, scope, None, (*FIELDS, *SCOPE))


def _waiver(
    said: Mapping[str, Any], place: Place, scope: Mapping[str, str], lines: tuple[int, int] | None, known: Sequence[str]
) -> Waiver | Finding:
    texts = {key: str(value).strip() for key, value in said.items()}
    unknown = [key for key in texts if key not in known]
    if unknown:
        return _malformed(place, f"knows no `{unknown[0]}`")
    lacking = [key for key in NEEDED if not texts.get(key)]
    if lacking:
        return _malformed(place, f"has no `{lacking[0]}`")
    try:
        expires = datetime.date.fromisoformat(texts["expires"])
    except ValueError:
        return _malformed(place, "ends on no date; write it as 2027-01-31")
    owner, ticket = texts.get("owner", ""), texts.get("ticket", "")
    return Waiver(texts["rule"], texts["reason"], expires, owner, ticket, place, scope, lines)


def _malformed(place: Place, what: str) -> Finding:
    return Finding("waivers/malformed", "error", f"a waiver {what}, so it silences nothing", place, hint=EXAMPLE)
