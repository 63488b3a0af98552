"""The nouns: what is judged, what is found, and what the verdict says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import orjson

# The kind that files of Terraform have among resources.
TERRAFORM_KIND = "Terraform"
FieldPath = tuple[str | int, ...]
PATH_STEP = re.compile(r'\.?(?P<name>[^.\[\]]+)|\[(?P<number>\d+)\]|\["(?P<quoted>[^"]*)"\]')
Severity = Literal["error", "warning", "info"]
LocationPrecision = Literal["field", "traced", "resource", "file"]
"""How a finding got its line: the rule named the field; it was traced by evaluation; the resource's or file's start."""


class Location(NamedTuple):
    """A spot in a file that its author can edit. Lines and columns count from 1; None where not knowable."""

    file: str
    line: int | None = None
    column: int | None = None


class ParsedDocument(Protocol):
    """A parsed document that knows where its parts stand."""

    @property
    def json(self) -> bytes:
        """The value as JSON text."""

    @property
    def start(self) -> tuple[int, int]:
        """Line and column of the first node, from 1."""

    @property
    def head(self) -> tuple[str, str, str, str] | None:
        """A Kubernetes object's apiVersion, kind, namespace and name (empty where it has none); None for others."""

    @property
    def duplicates(self) -> Sequence[tuple[str, int, int, int]]:
        """Keys written twice in one mapping: (key, line, column, line of the first)."""

    def locate(self, path: FieldPath, key: bool = False) -> tuple[int, int, int]:
        """How many steps of the path exist, and line and column of the last that does (its key, if `key`)."""


class Origin(Protocol):
    """Where a resource comes from."""

    @property
    def file(self) -> str:
        """The file that holds the resource before rendering, relative to the repository's root."""

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """The spot that set a field of the resource, or the deepest part of its path that exists."""


class ObjectRef(NamedTuple):
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

    ref: ObjectRef
    json: bytes
    origin: Origin

    @property
    def value(self) -> Any:
        """The object as Python values, made anew at each call so that thousands cost little memory."""
        return orjson.loads(self.json)


class AppliedWaiver(NamedTuple):
    """Why a finding does not count: the reason, the last day (`2027-01-31`), who answers, and where that is written."""

    reason: str
    expires: str
    owner: str
    ticket: str
    place: Location


class Finding(NamedTuple):
    """One reason against a resource or file.

    Attributes:
        is_preexisting: whether it was there before the change that is judged, and so is not the change's fault.
    """

    rule: str
    severity: Severity
    message: str
    location: Location
    resource_ref: ObjectRef | None = None
    field_path: FieldPath | None = None
    hint: str = ""
    location_precision: LocationPrecision = "file"
    waiver: AppliedWaiver | None = None
    is_preexisting: bool = False

    @property
    def fingerprint(self) -> str:
        """Stays the same when lines move: what was found, on what, in which file."""
        parts = [self.rule, self.location.file, *(self.resource_ref or ()), format_path(self.field_path), self.message]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Gap(NamedTuple):
    """Something that was not judged, and why. A fatal one keeps the verdict from being "accepted"."""

    file: str
    reason: str
    is_fatal: bool = False


class Coverage(NamedTuple):
    """How much was looked at: counts of files, of resources, and of resources that every engine judged."""

    file_count: int = 0
    resource_count: int = 0
    checked_count: int = 0
    gaps: tuple[Gap, ...] = ()


class Verdict(NamedTuple):
    """The one answer of a run.

    Attributes:
        is_cacheable: whether the same input has the same verdict at any time of the day.
        shard: where this is only a part: its number, from 1, and of how many.
    """

    findings: tuple[Finding, ...] = ()
    coverage: Coverage = Coverage()
    engine: tuple[str, str] = ("", "")
    policy_digest: str = ""
    revision: str | None = None
    is_cacheable: bool = False
    shard: tuple[int, int] | None = None

    @property
    def active_findings(self) -> list[Finding]:
        """The findings that nobody waived, and that are not older than the change that is judged."""
        return [finding for finding in self.findings if not finding.waiver and not finding.is_preexisting]

    @property
    def decision(self) -> Literal["accepted", "refused", "incomplete"]:
        """Gaps weigh more than findings: an incomplete judgement is not a judgement."""
        if any(gap.is_fatal for gap in self.coverage.gaps):
            return "incomplete"
        refused = any(finding.severity == "error" for finding in self.active_findings)
        return "refused" if refused else "accepted"

    @property
    def exit_code(self) -> int:
        """0 accepted, 1 refused, 3 could not judge all of it."""
        return {"accepted": 0, "refused": 1, "incomplete": 3}[self.decision]


def deduplicate(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, though several overlays render the same base; in the order of files and lines."""
    once: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        once.setdefault((finding.rule, finding.location, finding.message), finding)
    return tuple(
        sorted(once.values(), key=lambda found: (_location_sort_key(found.location), found.rule, found.message))
    )


def _location_sort_key(location: Location) -> tuple[str, int, int]:
    return location.file, location.line or 0, location.column or 0


def get_field(value: Any, path: FieldPath) -> Any:
    """The value at a path, or None."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def format_path(path: FieldPath | None) -> str:
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


def parse_path(text: str) -> FieldPath:
    """The path that `dotted` wrote."""
    return tuple(
        int(number) if number else quoted if quoted is not None and not name else name
        for name, number, quoted in ((m["name"], m["number"], m["quoted"]) for m in PATH_STEP.finditer(text))
    )
