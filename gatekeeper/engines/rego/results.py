"""Results of rules before they become findings: drafts whose field may have to be traced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from gatekeeper.engines.rego.model import RuleQuery
from gatekeeper.model import FieldPath, Finding, Gap, LocationPrecision, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import QueryResult


class DraftFinding(NamedTuple):
    """One thing that a rule found in a resource, with the field that the rule named or that was traced.

    Attributes:
        resource_index: the number of the resource among those that were evaluated.
        query: the query of the rule.
        message_count: the number of things that the rule found in the resource.
        location_precision: how the field is known; empty as long as it has to be traced.
    """

    resource_index: int
    query: str
    rule: RuleQuery
    resource: Resource
    message: str
    field_path: FieldPath | None
    message_count: int
    location_precision: LocationPrecision | Literal[""]

    def with_traced_path(self, field_path: FieldPath | None) -> DraftFinding:
        """Returns the same draft with the traced field; None if tracing found none."""
        return self._replace(field_path=field_path, location_precision="resource" if field_path is None else "traced")


class EvaluationResult(NamedTuple):
    """The drafts and gaps of an evaluation, and the numbers of the resources that have gaps."""

    drafts: list[DraftFinding]
    gaps: list[Gap]
    failed_indexes: set[int]


def build_drafts(answer: QueryResult, resource: Resource, rule: RuleQuery) -> Iterator[DraftFinding]:
    """Builds a draft for each item in the answer of a rule: a text, or an object with `msg` and maybe `field`."""
    items = answer.value if isinstance(answer.value, list) else [answer.value]
    for item in items:
        if item not in (None, False, {}):
            message = item.get("msg") if isinstance(item, dict) else item
            message = message if isinstance(message, str) else f"{rule.name} says {message!r}"
            path = _parse_field_path(item)
            precision: LocationPrecision | Literal[""] = "" if path is None else "field" if path else "resource"
            yield DraftFinding(
                resource_index=answer.input_index,
                query=answer.query,
                rule=rule,
                resource=resource,
                message=message,
                field_path=path,
                message_count=len(items),
                location_precision=precision,
            )


def build_finding(draft: DraftFinding) -> Finding:
    """Builds the finding of a draft."""
    rule, path = draft.rule, draft.field_path
    location = draft.resource.origin.find_location(path or ())
    precision: LocationPrecision = draft.location_precision or "resource"
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        message=draft.message,
        location=location,
        resource_ref=draft.resource.ref,
        field_path=path,
        hint=rule.hint,
        location_precision=precision,
    )


def _parse_field_path(item: Any) -> FieldPath | None:
    """Parses the field that a rule names: a list of steps, or `field`/`path` as dotted text."""
    if not isinstance(item, dict):
        return None
    field = item.get("field", item.get("path"))
    if isinstance(field, list) and all(isinstance(step, str | int) for step in field):
        return tuple(field)
    if isinstance(field, str) and field:
        steps = field.replace("[", ".").replace("]", "").split(".")
        return tuple(int(step) if step.isdigit() else step for step in steps if step)
    return None
