"""CEL rules that CRDs carry (`x-kubernetes-validations`), evaluated as the API server does on creation."""

from __future__ import annotations

import re

import orjson

from gatekeeper.engines.catalog import Catalog, Key
from gatekeeper.model import FieldPath, Finding, Resource

try:
    from gatekeeper._native import CelRules
except ImportError:
    CelRules = None  # type: ignore[assignment,misc]

STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Rules:
    """The rules of each custom kind, compiled when first needed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._compiled: dict[Key, CelRules | None] = {}

    def check(self, resource: Resource) -> list[Finding]:
        """The rules that a resource breaks."""
        key = (resource.ref.api_version, resource.ref.kind)
        if key not in self._compiled:
            self._compiled[key] = self._compile(key)
        rules = self._compiled[key]
        if rules is None:
            return []
        return [_finding(resource, *broken) for broken in rules.check(resource.json)]

    def _compile(self, key: Key) -> CelRules | None:
        definition = self._catalog.definition(key)
        if definition is None or definition.schema is None:
            return None
        text = orjson.dumps(definition.schema)
        if b'"x-kubernetes-validations"' not in text or CelRules is None:
            return None
        return CelRules(text.decode(), definition.version, definition.group, definition.kind)


def _finding(resource: Resource, field: str, message: str, kind: str, rule: str) -> Finding:
    path: FieldPath = tuple(name if name else int(index) for name, index in STEP.findall(field))
    if kind != "ValidationFailure":
        message = f"the CRD's rule `{rule}` cannot be evaluated: {message}"
    place = resource.origin.place(path)
    return Finding("schema/cel", "error", message, place, resource.ref, path, f"the CRD demands: {rule}", "field")
