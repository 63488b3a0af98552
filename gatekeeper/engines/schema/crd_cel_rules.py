"""Evaluates the CEL rules of CRDs (`x-kubernetes-validations`), as the API server does on creation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson

from gatekeeper.engines.schema.catalog import SchemaCatalog, SchemaKey
from gatekeeper.model import FieldPath, Finding, Gap, Resource, get_field

try:
    from gatekeeper._native import CelRules
except ImportError:
    CelRules = None  # type: ignore[assignment,misc]

VIOLATION_KINDS = {"ValidationFailure"}
NATIVE_MODULE_MISSING = (
    "the CEL rules of its CRD cannot be evaluated: gatekeeper was installed without a Rust compiler; "
    "install Rust and reinstall"
)
PATH_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class CrdCelRules:
    """The rules of each custom kind."""

    def __init__(self, catalog: SchemaCatalog) -> None:
        self._catalog = catalog

    def check_resources(self, key: SchemaKey, resources: Sequence[Resource], gaps: list[Gap]) -> list[Finding]:
        """The rules that resources of one kind break; rules that cannot be evaluated are added to the gaps."""
        definition = self._catalog.find_custom_kind(key)
        text = orjson.dumps(definition.schema) if definition else b""
        if definition is None or b'"x-kubernetes-validations"' not in text:
            return []
        if CelRules is None:
            gaps.extend(Gap(resource.origin.file, NATIVE_MODULE_MISSING, is_fatal=True) for resource in resources)
            return []
        rules = CelRules(text.decode(), definition.version, definition.group, definition.kind)
        findings: list[Finding] = []
        for resource in resources:
            for field, message, kind, rule in rules.check(resource.json):
                if kind in VIOLATION_KINDS:
                    findings.extend(_build_findings(resource, field, message, rule))
                else:
                    reason = f"the CRD's rule `{rule}` cannot be evaluated on {resource.ref}: {message}"
                    gaps.append(Gap(resource.origin.file, reason, is_fatal=True))
        return findings


def _build_findings(resource: Resource, field: str, message: str, rule: str) -> Iterator[Finding]:
    path: FieldPath = tuple(name if name else int(index) for name, index in PATH_STEP.findall(field))
    value_text = orjson.dumps(get_field(resource.value, path)).decode()
    # A value that is not known yet (a Flux variable, ciphertext) cannot break a rule; a gap reports its field.
    if "${" in value_text or "ENC[" in value_text:
        return
    yield resource.build_finding("schema/cel", message, path, hint=f"the CRD requires: {rule}")
