"""The terms of the product: documents, objects and their names, resources, findings, gaps and the verdict."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from gatekeeper.file_names import to_printable
from gatekeeper.named_tuple import NamedTuple

# The kind of Terraform files among the resources.
TERRAFORM_KIND = "Terraform"
# The file of an object that is in the cluster, and in no file.
CLUSTER_FILE = "(in the cluster)"
FieldPath = tuple[str | int, ...]
# A Kubernetes object as plain JSON.
Object = dict[str, Any]
Labels = Mapping[str, str]
PATH_STEP = re.compile(r'\.?(?P<name>[^.\[\]]+)|\[(?P<number>\d+)\]|\["(?P<quoted>[^"]*)"\]')
Severity = Literal["error", "warning", "info"]
LocationPrecision = Literal["field", "traced", "resource", "file"]
"""The origin of a finding's line: named by the rule, traced by evaluation, or the start of the resource or file."""


class Location(NamedTuple):
    """A place in a file that its author can edit. Lines and columns count from 1; None if unknown."""

    file: str
    line: int | None = None
    column: int | None = None


class ParsedDocument(Protocol):
    """A parsed document with the places of its parts."""

    @property
    def json(self) -> bytes:
        """The value as JSON text."""

    @property
    def start(self) -> tuple[int, int]:
        """Line and column of the first node, from 1."""

    @property
    def head(self) -> tuple[str, str, str, str] | None:
        """A Kubernetes object's apiVersion, kind, namespace and name (empty if it has none); None for others."""

    @property
    def duplicates(self) -> Sequence[tuple[str, int, int, int]]:
        """Keys set twice in one mapping: (key, line, column, line of the first).

        The key is `<<` for a merge key that sets a key again which comes before it.
        """

    def locate(self, path: FieldPath, key: bool = False) -> tuple[int, int, int]:
        """The number of steps of the path that exist, and line and column of the last one (with `key`, of its key)."""


class Origin(Protocol):
    """The source of a resource in the repository."""

    @property
    def file(self) -> str:
        """The file that holds the resource before rendering, relative to the repository's root."""

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """The place that set a field of the resource, or else the deepest part of its path that exists."""


class ObjectRef(NamedTuple):
    """The full name of a Kubernetes object; parts that it does not have are empty."""

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


class NamespacedName(NamedTuple):
    """Namespace and name of an object; the namespace is empty for cluster-scoped objects."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Resource(NamedTuple):
    """An object as the cluster would get it, and its origin."""

    ref: ObjectRef
    json: bytes
    origin: Origin

    @property
    def value(self) -> Any:
        """The object as new Python values at each call, so that thousands of resources need little memory."""
        # Slow to load: a hook whose verdict is cached does without it.
        import orjson

        return orjson.loads(self.json)

    def build_finding(
        self,
        rule: str,
        message: str,
        path: FieldPath,
        *,
        hint: str = "",
        severity: Severity = "error",
        is_key: bool = False,
    ) -> Finding:
        """A finding about a field, at the deepest part of its path that exists, or with `is_key` at its key."""
        location = self.origin.find_location(path, is_key)
        return Finding(
            rule, severity, message, location, self.ref, field_path=path, hint=hint, location_precision="field"
        )


class AppliedWaiver(NamedTuple):
    """Why a finding does not count: reason, last day (`2027-01-31`), owner, ticket, and the place of the waiver."""

    reason: str
    expires: str
    owner: str
    ticket: str
    place: Location


class Finding(NamedTuple):
    """One problem of a resource or file.

    Attributes:
        is_preexisting: whether the base of the checked change has it too.
        members: the findings that a group stands for: one for each key of a Secret or place of a cause; else empty.
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
    members: tuple[Finding, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest of rule, file, resource, field and message (never of a secret), which stays when lines move."""
        parts = [self.rule, self.location.file, *(self.resource_ref or ()), format_path(self.field_path), self.message]
        return hashlib.sha256(to_printable("\0".join(parts)).encode()).hexdigest()[:32]


class Gap(NamedTuple):
    """Something that was not checked, and why. With a fatal gap the verdict is "incomplete"."""

    file: str
    reason: str
    is_fatal: bool = False


class Coverage(NamedTuple):
    """How much was checked: the number of files, of resources, and of resources with a schema."""

    file_count: int = 0
    resource_count: int = 0
    checked_count: int = 0
    gaps: tuple[Gap, ...] = ()


class Verdict(NamedTuple):
    """The result of a run.

    Attributes:
        is_cacheable: whether the same input has the same verdict all day.
        shard: number of the shard, from 1, and of how many; None for the whole repository.
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
        """The findings that count: neither waived nor preexisting."""
        return [finding for finding in self.findings if not finding.waiver and not finding.is_preexisting]

    @property
    def decision(self) -> Literal["accepted", "refused", "incomplete"]:
        """The decision; a fatal gap outweighs findings."""
        if any(gap.is_fatal for gap in self.coverage.gaps):
            return "incomplete"
        refused = any(finding.severity == "error" for finding in self.active_findings)
        return "refused" if refused else "accepted"

    @property
    def exit_code(self) -> int:
        """0 accepted, 1 refused, 3 incomplete."""
        return {"accepted": 0, "refused": 1, "incomplete": 3}[self.decision]

    def merge(self, *others: Verdict) -> Verdict:
        """One verdict on all that these verdicts are about; it keeps this one's engine, policies and revision."""
        verdicts = (self, *others)
        coverages = [verdict.coverage for verdict in verdicts]
        coverage = Coverage(
            sum(coverage.file_count for coverage in coverages),
            sum(coverage.resource_count for coverage in coverages),
            sum(coverage.checked_count for coverage in coverages),
            tuple(sorted({gap for coverage in coverages for gap in coverage.gaps})),
        )
        return self._replace(
            findings=deduplicate(finding for verdict in verdicts for finding in verdict.findings),
            coverage=coverage,
            is_cacheable=all(verdict.is_cacheable for verdict in verdicts),
        )


def deduplicate(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, even if several overlays render the same base; sorted by file and line."""
    unique: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        # Objects that are in no file share their location, and differ only by their names.
        ref = finding.resource_ref if finding.location.file == CLUSTER_FILE else None
        places = tuple(member.location for member in finding.members)
        unique.setdefault((finding.rule, finding.location, finding.message, ref, places), finding)
    return tuple(sorted(unique.values(), key=_get_sort_key))


def _get_sort_key(item: Finding) -> tuple[str, int, int, str, str]:
    return item.location.file, item.location.line or 0, item.location.column or 0, item.rule, item.message


def name_of(value: Object, default_namespace: str = "") -> NamespacedName:
    """Namespace and name of an object; an object without a namespace has the default one."""
    metadata = value["metadata"]
    return NamespacedName(metadata.get("namespace") or default_namespace, metadata["name"])


def build_ref(value: dict[str, Any]) -> ObjectRef:
    """The reference to an object; fields that are not strings count as missing."""
    names = (get_field(value, ("metadata", field)) for field in ("namespace", "name"))
    namespace, name = (text if isinstance(text, str) else "" for text in names)
    return ObjectRef(value["apiVersion"], value["kind"], namespace, name)


def get_field(value: Any, path: FieldPath) -> Any:
    """The value at a path, or None."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def read_labels(value: Any, field: str = "labels") -> Labels:
    """The labels of an object, or with `field` its annotations; empty if they are malformed."""
    labels = get_field(value, ("metadata", field))
    return {str(key): str(text) for key, text in labels.items()} if isinstance(labels, dict) else {}


def format_path(path: FieldPath | None) -> str:
    """A path as text: `spec.containers[0].image`; keys with dots are in brackets and quotes."""
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
    """The path that `format_path` wrote."""
    return tuple(
        int(number) if number else quoted if quoted is not None and not name else name
        for name, number, quoted in ((m["name"], m["number"], m["quoted"]) for m in PATH_STEP.finditer(text))
    )
