"""The parsed form of ConstraintTemplates and constraints of OPA Gatekeeper."""

from __future__ import annotations

from typing import Any

from gatekeeper.engines.admission.constraint_match import ConstraintMatch
from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.model import Resource, Severity
from gatekeeper.named_tuple import NamedTuple


class ConstraintTemplate(NamedTuple):
    """A parsed template.

    Attributes:
        kind: the kind of its constraints.
        modules: its Rego, with the module of the `violation` rule first; empty for a template in CEL.
        cel_source: the `source` of a template in CEL; None for a template in Rego.
        schema: the OpenAPI schema of the parameters of its constraints.
        resource: the template itself.
    """

    kind: str
    modules: tuple[RegoModule, ...]
    cel_source: dict[str, Any] | None
    schema: dict[str, Any]
    resource: Resource

    @property
    def query(self) -> str:
        """The query of the `violation` rule."""
        return f"data.{self.modules[0].package}.violation"

    @property
    def is_inventory_needed(self) -> bool:
        """Whether its Rego reads other resources (`data.inventory`)."""
        return any("inventory" in module.text for module in self.modules)


class Constraint(NamedTuple):
    """A parsed constraint with its template; `parameters` is JSON."""

    template: ConstraintTemplate
    name: str
    match: ConstraintMatch
    parameters: bytes
    severity: Severity
    resource: Resource

    @property
    def rule_name(self) -> str:
        """The name of its findings: `KIND/NAME`."""
        return f"{self.template.kind}/{self.name}"
