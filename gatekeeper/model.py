"""The nouns: what is judged, what is found, and what the verdict says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

if TYPE_CHECKING:
    from gatekeeper.protocols import Origin

# The kind that files of Terraform have among resources.
TERRAFORM = "Terraform"
FieldPath = tuple[str | int, ...]
STEP = re.compile(r'\.?(?P<name>[^.\[\]]+)|\[(?P<number>\d+)\]|\["(?P<quoted>[^"]*)"\]')
Severity = Literal["error", "warning", "info"]
Placed = Literal["field", "traced", "resource", "file"]
"""How a finding got its line: the rule named the field; it was traced by evaluation; the resource's or file's start."""


class Place(NamedTuple):
    """A spot in a file that its author can edit. Lines and columns count from 1; None where not knowable."""

    file: str
    line: int | None = None
    column: int | None = None


class Ref(NamedTuple):
    """A Kubernetes object's name in full; an empty text where it has none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Resource(NamedTuple):
    """One object as the cluster would get it, and where its parts come from."""

    ref: Ref
    json: bytes
    origin: Origin

    @property
    def value(self) -> Any:
        """The object as Python values, made anew at each call so that thousands cost little memory."""
        return orjson.loads(self.json)


class Waived(NamedTuple):
    """Why a finding does not count: the reason, the last day (`2027-01-31`), who answers, and where that is written."""

    reason: str
    expires: str
    owner: str
    ticket: str
    place: Place


class Finding(NamedTuple):
    """One reason against a resource or file.

    Attributes:
        old: whether it was there before the change that is judged, and so is not the change's fault.
    """

    rule: str
    severity: Severity
    message: str
    place: Place
    resource: Ref | None = None
    path: FieldPath | None = None
    hint: str = ""
    placed: Placed = "file"
    waived: Waived | None = None
    old: bool = False

    @property
    def fingerprint(self) -> str:
        """Stays the same when lines move: what was found, on what, in which file."""
        parts = [self.rule, self.place.file, *(self.resource or ()), dotted(self.path), self.message]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Gap(NamedTuple):
    """Something that was not judged, and why. A fatal one keeps the verdict from being "accepted"."""

    file: str
    reason: str
    fatal: bool = False


class Coverage(NamedTuple):
    """How much was looked at: counts of files, of resources, and of resources that every engine judged."""

    files: int = 0
    resources: int = 0
    checked: int = 0
    skipped: tuple[Gap, ...] = ()


class Verdict(NamedTuple):
    """The one answer of a run.

    Attributes:
        lasts: whether the same input has the same verdict at any time of the day.
        shard: where this is only a part: its number, from 1, and of how many.
    """

    findings: tuple[Finding, ...] = ()
    coverage: Coverage = Coverage()
    engine: tuple[str, str] = ("", "")
    policies: str = ""
    revision: str | None = None
    lasts: bool = False
    shard: tuple[int, int] | None = None

    @property
    def counting(self) -> list[Finding]:
        """The findings that nobody waived, and that are not older than the change that is judged."""
        return [finding for finding in self.findings if not finding.waived and not finding.old]

    @property
    def word(self) -> Literal["accepted", "refused", "incomplete"]:
        """Gaps weigh more than findings: an incomplete judgement is not a judgement."""
        if any(gap.fatal for gap in self.coverage.skipped):
            return "incomplete"
        refused = any(finding.severity == "error" for finding in self.counting)
        return "refused" if refused else "accepted"

    @property
    def exit_code(self) -> int:
        """0 accepted, 1 refused, 3 could not judge all of it."""
        return {"accepted": 0, "refused": 1, "incomplete": 3}[self.word]


def distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, though several overlays render the same base; in the order of files and lines."""
    once: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        once.setdefault((finding.rule, finding.place, finding.message), finding)
    return tuple(sorted(once.values(), key=lambda found: (_known(found.place), found.rule, found.message)))


def _known(place: Place) -> tuple[str, int, int]:
    return place.file, place.line or 0, place.column or 0


def at(value: Any, path: FieldPath) -> Any:
    """The value at a path, or None."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def dotted(path: FieldPath | None) -> str:
    """A path as people write it: `spec.containers[0].image`, keys with dots in brackets and quotes."""
    text = ""
    for step in path or ():
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step or "/" in step or not step:
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text


def undotted(text: str) -> FieldPath:
    """The path that `dotted` wrote."""
    return tuple(
        int(number) if number else quoted if quoted is not None and not name else name
        for name, number, quoted in ((m["name"], m["number"], m["quoted"]) for m in STEP.finditer(text))
    )
