"""Constraints of OPA Gatekeeper: their template, the resources that they apply to, their parameters and severity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.engines.admission import constraint_match
from gatekeeper.engines.admission.model import Constraint, ConstraintTemplate
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, Severity, get_field

GROUP = "constraints.gatekeeper.sh"
SEVERITY_BY_ACTION: dict[str, Severity] = {"deny": "error", "warn": "warning", "dryrun": "info"}
# The enforcement points whose actions apply here.
ENFORCEMENT_POINTS = {"*", "validation.gatekeeper.sh", "gator.gatekeeper.sh"}


def is_constraint(resource: Resource) -> bool:
    """Whether a resource is a constraint of some template."""
    return resource.ref.group == GROUP


def parse_constraint(resource: Resource, templates: Mapping[str, ConstraintTemplate]) -> Constraint | None:
    """Parses a constraint; None if no enforcement point applies here.

    Args:
        templates: all templates by the kind of their constraints.

    Raises:
        PolicyError: the template is missing, or the constraint is malformed.
    """
    template = templates.get(resource.ref.kind)
    if template is None:
        raise PolicyError(f"the repository contains no ConstraintTemplate for {resource.ref.kind}")
    spec = resource.value.get("spec") or {}
    if not isinstance(spec, dict):
        raise PolicyError("`spec` must be a mapping")
    severity = _parse_severity(spec)
    if severity is None:
        return None
    match = constraint_match.parse_match(spec.get("match"))
    parameters = spec.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise PolicyError("`parameters` must be a mapping")
    return Constraint(
        template=template,
        name=resource.ref.name,
        match=match,
        parameters=orjson.dumps(parameters),
        severity=severity,
        resource=resource,
    )


def _parse_severity(spec: Mapping[str, Any]) -> Severity | None:
    action = spec.get("enforcementAction") or "deny"
    if action != "scoped":
        return _parse_action(action)
    entries = spec.get("scopedEnforcementActions")
    if not isinstance(entries, list) or not entries:
        raise PolicyError("`enforcementAction: scoped` needs a list `scopedEnforcementActions`")
    severities = [
        _parse_action(get_field(entry, ("action",)))
        for entry in entries
        if any(
            get_field(point, ("name",)) in ENFORCEMENT_POINTS
            for point in get_field(entry, ("enforcementPoints",)) or []
        )
    ]
    return next((severity for severity in SEVERITY_BY_ACTION.values() if severity in severities), None)


def _parse_action(action: Any) -> Severity:
    if action not in SEVERITY_BY_ACTION:
        supported = f"{', '.join(SEVERITY_BY_ACTION)} or scoped"
        raise PolicyError(f"`enforcementAction` is {action!r}; it can be {supported}")
    return SEVERITY_BY_ACTION[action]
