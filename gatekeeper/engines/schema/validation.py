"""Validates each resource by the schema of its kind, strictly and without network access."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.engines.schema import messages
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.engines.schema.served_versions import list_served_versions
from gatekeeper.errors import UsageError
from gatekeeper.model import FieldPath, Finding, Gap, ObjectRef, Resource, get_field

NAMELESS_KINDS = {"List", "Kustomization", "Component"}


def evaluate(
    resources: Sequence[Resource], catalog: SchemaCatalog, allowed_patterns: Sequence[str], jobs: int
) -> tuple[list[Finding], list[Gap], int]:
    """Return findings, gaps, and the number of resources that were validated by a schema."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    checked = 0
    kinds: dict[tuple[str, str], list[Resource]] = {}
    for resource in resources:
        kinds.setdefault((resource.ref.api_version, resource.ref.kind), []).append(resource)
    for key, same in kinds.items():
        try:
            refused = catalog.find_invalid(key, [resource.json for resource in same], jobs)
        except UsageError as error:
            gaps.append(Gap(same[0].origin.file, str(error), is_fatal=True))
            continue
        if refused is None:
            kind_findings, kind_gaps = _report_missing_schema(key, same, allowed_patterns)
            gaps.extend(kind_gaps)
        else:
            checked += len(same)
            kind_findings = [finding for index in refused for finding in _explain_errors(same[index], catalog)]
            nameless = [resource for resource in same if not resource.ref.name]
            kind_findings += [finding for resource in nameless for finding in _check_name(resource)]
            kind_findings += _check_served(same, catalog)
        findings.extend(kind_findings)
    return findings, gaps, checked


def _check_served(same: Sequence[Resource], catalog: SchemaCatalog) -> list[Finding]:
    """Checks that the API server serves the version of resources of one kind, where its CRD or Kubernetes says so."""
    ref = same[0].ref
    kind = catalog.find_custom_kind((ref.api_version, ref.kind))
    served = list_served_versions(ref.group, ref.kind, catalog.kubernetes_version)
    if kind is not None and not kind.is_served:
        reason, hint = f"the CRD of {ref.kind} has `served: false` for it", "write the resource in a served version"
    elif served is not None and ref.api_version not in served:
        reason = f"Kubernetes {catalog.kubernetes_version} does not have it"
        hint = f"write the resource in {' or '.join(served)}"
    else:
        return []
    message = f"{ref.kind} in version {ref.api_version} is not served: {reason}"
    return [resource.build_finding("schema/not-served", message, ("apiVersion",), hint=hint) for resource in same]


def _report_missing_schema(
    key: tuple[str, str], resources: list[Resource], allowed_patterns: Sequence[str]
) -> tuple[list[Finding], list[Gap]]:
    """Reports a kind without a schema: findings and fatal gaps, or only gaps if the config allows the kind."""
    names = (key[1], f"{key[0]}/{key[1]}")
    reason = f"no schema for {key[1]} ({key[0]})"
    if any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in allowed_patterns):
        return [], [Gap(resource.origin.file, f"{reason}, allowed by the config") for resource in resources]
    message = f"{reason}: its fields cannot be checked"
    sources = "add its CRD to the repository or to `schemas.crds`, or its JSON Schema to `schemas.locations`"
    hint = f"{sources}; or allow `{key[1]}` in `schemas.allowMissing`"
    findings = [resource.build_finding("schema/missing", message, ("kind",), hint=hint) for resource in resources]
    return findings, [Gap(resource.origin.file, reason, is_fatal=True) for resource in resources]


def _explain_errors(resource: Resource, catalog: SchemaCatalog) -> list[Finding]:
    value = resource.value
    findings: list[Finding] = []
    for error in catalog.list_errors((resource.ref.api_version, resource.ref.kind), value):
        path: FieldPath = tuple(error.instance_path)
        if not is_opaque(get_field(value, path)):
            findings.extend(_build_findings(resource, path, error, value, catalog))
    return findings


def _build_findings(
    resource: Resource, path: FieldPath, error: Any, value: Any, catalog: SchemaCatalog
) -> Iterator[Finding]:
    for fault in messages.describe_error(error.kind, path, get_field(value, path)):
        hint = ""
        if fault.rule == "unknown-field":
            if fault.field == ("sops",):
                continue
            known = catalog.list_known_fields((resource.ref.api_version, resource.ref.kind), error.schema_path)
            hint = _suggest_field(str(fault.field[-1]), known)
        rule = f"schema/{fault.rule}"
        yield resource.build_finding(rule, fault.message, fault.field, hint=hint, is_key=fault.is_key)


def _suggest_field(field: str, known_fields: Sequence[str]) -> str:
    # Imported here: only suggestions for misspelled fields need it.
    import difflib

    near = difflib.get_close_matches(field, known_fields, 1)
    return f"did you mean `{near[0]}`?" if near else "remove it, or correct its name or its indentation"


def is_opaque(value: Any) -> bool:
    """Whether a value is unknown: SOPS ciphertext, or a Flux variable that the repository does not set."""
    return isinstance(value, str) and (value.startswith("ENC[") or "${" in value)


def _check_name(resource: Resource) -> list[Finding]:
    """Check that a resource has a name: the API server requires it, but the published schemas do not."""
    ref: ObjectRef = resource.ref
    if ref.name or ref.kind in NAMELESS_KINDS:
        return []
    metadata = resource.value.get("metadata")
    if isinstance(metadata, dict) and metadata.get("generateName"):
        return []
    return [
        resource.build_finding("schema/required", "required field `metadata.name` is missing", ("metadata", "name"))
    ]
