"""The schema engine: each resource against the schema of its kind, strictly, without a network."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from gatekeeper.engines.schema import cel
from gatekeeper.engines.schema.catalog import Catalog
from gatekeeper.errors import UsageError
from gatekeeper.model import FieldPath, Finding, Gap, Ref, Resource, at, dotted

WORDS = {"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false", "null": "null"}  # fmt: skip
NAMELESS = {"List", "Kustomization", "Component"}


def judge(
    resources: Sequence[Resource], catalog: Catalog, allow_missing: Sequence[str], jobs: int
) -> tuple[list[Finding], list[Gap], int]:
    """Findings, gaps, and the number of resources that a schema judged."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    checked = 0
    rules = cel.Rules(catalog)
    kinds: dict[tuple[str, str], list[Resource]] = {}
    for resource in resources:
        kinds.setdefault((resource.ref.api_version, resource.ref.kind), []).append(resource)
    for key, same in kinds.items():
        try:
            refused = catalog.refused(key, [resource.json for resource in same], jobs)
        except UsageError as error:
            gaps.append(Gap(same[0].origin.file, str(error), fatal=True))
            continue
        if refused is None:
            found_here, gaps_here = _no_schema(key, same, allow_missing)
            gaps.extend(gaps_here)
        else:
            checked += len(same)
            found_here = [found for index in refused for found in _explain(same[index], catalog)]
            found_here += [found for resource in same for found in _metadata(resource)]
            found_here += rules.check(key, same, gaps)
        findings.extend(found_here)
    return findings, gaps, checked


def _no_schema(
    key: tuple[str, str], resources: list[Resource], allowed: Sequence[str]
) -> tuple[list[Finding], list[Gap]]:
    """A kind that no schema is known for: counted, and refused unless the config allows it by name."""
    names = (key[1], f"{key[0]}/{key[1]}")
    reason = f"no schema for {key[1]} ({key[0]})"
    first = resources[0]
    if any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in allowed):
        return [], [Gap(resource.origin.file, f"{reason}, allowed by the config") for resource in resources]
    several = f", {len(resources)} resources" if len(resources) > 1 else ""
    finding = Finding(
        "schema/missing",
        "error",
        f"{reason}{several}: its fields cannot be checked",
        first.origin.place(("kind",)),
        first.ref,
        ("kind",),
        f"put its CRD into the repository or under `schemas.crds`, or allow `{key[1]}` in `schemas.allowMissing`",
        "field",
    )
    return [finding], [Gap(resource.origin.file, reason, fatal=True) for resource in resources]


def _explain(resource: Resource, catalog: Catalog) -> list[Finding]:
    value = resource.value
    found = []
    for error in catalog.errors((resource.ref.api_version, resource.ref.kind), value):
        path: FieldPath = tuple(error.instance_path)
        if not is_opaque(at(value, path)):
            found.extend(_findings_of(resource, path, error, value, catalog))
    return found


def _findings_of(resource: Resource, path: FieldPath, error: Any, value: Any, catalog: Catalog) -> list[Finding]:
    kind, name = error.kind, error.kind.name
    if name == "additionalProperties":
        known = catalog.known_fields((resource.ref.api_version, resource.ref.kind), error.schema_path)
        return [
            _finding(resource, "schema/unknown-field", (*path, field), f"unknown field `{dotted((*path, field))}`",
                     _close(field, known), key=True)
            for field in kind.unexpected
            if not (path == () and field == "sops")
        ]  # fmt: skip
    if name == "required":
        field = (*path, kind.property)
        return [_finding(resource, "schema/required", field, f"required field `{dotted(field)}` is missing")]
    where = f"`{dotted(path)}`" if path else "the resource"
    return [_finding(resource, f"schema/{_rule(name)}", path, f"{where} {_says(kind, name, at(value, path))}")]


def _says(kind: Any, name: str, value: Any) -> str:
    """What is wanted, in words that never repeat the value: it may be a secret."""
    if name == "type":
        return f"must be {_either(kind.types)}, not {_word(value)}"
    if name == "enum":
        return f"must be one of {', '.join(map(str, kind.options))}"
    if name in ("oneOf", "anyOf"):
        types = [part.kind.types for option in kind.context for part in option if part.kind.name == "type"]
        if types and len(types) == len(kind.context):
            return f"must be {_either([word for part in types for word in part])}, not {_word(value)}"
        return "fits none of the forms that its schema allows"
    limit = getattr(kind, "limit", getattr(kind, "pattern", None))
    return f"breaks `{name}`" + (f" ({limit})" if limit is not None else "")


def _rule(name: str) -> str:
    return {"type": "type", "enum": "enum", "oneOf": "type", "anyOf": "type"}.get(name, "constraint")


def _either(types: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(WORDS.get(name, name) for name in types if name != "null"))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = ((dict, "a mapping"), (list, "a list"), (str, "a text"), (int, "a number"), (float, "a fraction"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")


def _close(field: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(field, known, 1)
    return f"did you mean `{near[0]}`?" if near else "remove it, or correct its name or its indentation"


def _finding(
    resource: Resource, rule: str, path: FieldPath, message: str, hint: str = "", key: bool = False
) -> Finding:
    return Finding(rule, "error", message, resource.origin.place(path, key), resource.ref, path, hint, "field")


def is_opaque(value: Any) -> bool:
    """Whether a value is still to come: ciphertext of SOPS, or a Flux variable that nothing here sets."""
    return isinstance(value, str) and (value.startswith("ENC[") or "${" in value)


def _metadata(resource: Resource) -> list[Finding]:
    """A name is needed by the API server, though the published schemas do not say so."""
    ref: Ref = resource.ref
    if ref.name or ref.kind in NAMELESS:
        return []
    metadata = resource.value.get("metadata")
    if isinstance(metadata, dict) and metadata.get("generateName"):
        return []
    return [_finding(resource, "schema/required", ("metadata", "name"), "required field `metadata.name` is missing")]
