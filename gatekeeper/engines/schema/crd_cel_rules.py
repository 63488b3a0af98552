"""CEL rules that CRDs carry (`x-kubernetes-validations`), evaluated as the API server does on creation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson

from gatekeeper.engines.schema.catalog import Catalog, Key
from gatekeeper.model import FieldPath, Finding, Gap, Resource, at

try:
    from gatekeeper._native import CelRules
except ImportError:
    CelRules = None  # type: ignore[assignment,misc]

JUDGED = {"ValidationFailure"}
UNBUILT = (
    "the CEL rules of its CRD cannot be evaluated: gatekeeper was installed without a Rust compiler; "
    "install Rust and reinstall"
)
STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Rules:
    """The rules of each custom kind."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def check(self, key: Key, resources: Sequence[Resource], gaps: list[Gap]) -> list[Finding]:
        """The rules that resources of one kind break; rules that cannot be evaluated are added to the gaps."""
        definition = self._catalog.definition(key)
        text = orjson.dumps(definition.schema) if definition else b""
        if definition is None or b'"x-kubernetes-validations"' not in text:
            return []
        if CelRules is None:
            gaps.extend(Gap(resource.origin.file, UNBUILT, fatal=True) for resource in resources)
            return []
        rules = CelRules(text.decode(), definition.version, definition.group, definition.kind)
        findings: list[Finding] = []
        for resource in resources:
            for field, message, kind, rule in rules.check(resource.json):
                if kind in JUDGED:
                    findings.extend(_finding(resource, field, message, rule))
                else:
                    reason = f"the CRD's rule `{rule}` cannot be evaluated on {resource.ref}: {message}"
                    gaps.append(Gap(resource.origin.file, reason, fatal=True))
        return findings


def _finding(resource: Resource, field: str, message: str, rule: str) -> Iterator[Finding]:
    path: FieldPath = tuple(name if name else int(index) for name, index in STEP.findall(field))
    held = orjson.dumps(at(resource.value, path)).decode()
    # What is still to come (a Flux variable, ciphertext) cannot break a rule; its field is noted as not judged.
    if "${" in held or "ENC[" in held:
        return
    place = resource.origin.place(path)
    yield Finding("schema/cel", "error", message, place, resource.ref, path, f"the CRD demands: {rule}", "field")
