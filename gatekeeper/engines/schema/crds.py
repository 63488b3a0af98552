"""Converts a CustomResourceDefinition to JSON Schemas that are as strict as the API server's field validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from gatekeeper.named_tuple import NamedTuple

VALUE_KEYWORDS = (
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "multipleOf",
    "required",
)
NAME_FIELDS = ("name", "generateName")
EMBEDDED_PROPERTIES = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


class CustomKind(NamedTuple):
    """One version of a custom kind, with its OpenAPI schema (None if the CRD has no schema).

    Attributes:
        subresources: `subresources` of the version, as the CRD has it.
        plural: the name of the kind in addresses; empty if it is not known.
        is_served: whether the API server serves the version.
        conversion: how the API server converts objects to other versions: `None` changes the version only.
    """

    group: str
    version: str
    kind: str
    namespaced: bool
    schema: dict[str, Any] | None
    subresources: dict[str, Any] | None = None
    plural: str = ""
    is_served: bool = True
    conversion: str = "None"

    @property
    def api_version(self) -> str:
        """`group/version`, as manifests write it."""
        return f"{self.group}/{self.version}"


def parse_crd(crd: Any) -> Iterator[CustomKind]:
    """Every version that a CRD (apiextensions.k8s.io v1 or v1beta1) defines; nothing if the CRD is malformed."""
    spec = crd.get("spec") if isinstance(crd, dict) else None
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, dict) or not isinstance(names.get("kind"), str):
        return
    versions = spec.get("versions") or [{"name": spec.get("version")}]
    shared = (spec.get("validation") or {}).get("openAPIV3Schema")
    for version in versions:
        if not isinstance(version, dict) or not isinstance(version.get("name"), str):
            continue
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or shared
        yield CustomKind(
            str(spec.get("group")),
            version["name"],
            names["kind"],
            spec.get("scope") != "Cluster",
            schema if isinstance(schema, dict) else None,
            subresources=_find_subresources(version, spec),
            plural=str(names.get("plural") or ""),
            is_served=version.get("served") is not False,
            conversion=str((spec.get("conversion") or {}).get("strategy") or "None"),
        )


def encode_definition(kind: CustomKind | None) -> bytes:
    """A custom kind as JSON for the program; empty for a kind without a schema."""
    return orjson.dumps(kind._asdict()) if kind is not None and kind.schema is not None else b""


def _find_subresources(version: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any] | None:
    found = version.get("subresources") or spec.get("subresources")
    return found if isinstance(found, dict) else None


def build_strict_schema(schema: dict[str, Any], metadata_schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema, where a field that the schema does not name is an error.

    Args:
        schema: `openAPIV3Schema` of one version.
        metadata_schema: the schema of every object's `metadata`.

    Source: apiextensions-apiserver `pkg/apiserver/schema/validation.go` (validateStructuralMetadataInvariants): of
    `metadata` a CRD can restrict `name` and `generateName`; all of ObjectMeta stays allowed.
    """
    converted = _convert(schema)
    properties = converted.setdefault("properties", {})
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    own = (schema.get("properties") or {}).get("metadata")
    restricted = own.get("properties") if isinstance(own, dict) else None
    names = {
        name: _convert(restricted[name]) for name in NAME_FIELDS if isinstance(restricted, dict) and name in restricted
    }
    properties["metadata"] = {"allOf": [metadata_schema, {"properties": names}]} if names else metadata_schema
    return converted


def _convert(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}
    out = {name: schema[name] for name in VALUE_KEYWORDS if name in schema}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string", "null"]
    elif isinstance(schema.get("type"), str):
        # The API server drops a null where the field is not nullable, so it is not an error.
        out["type"] = [schema["type"], "null"]
    if "enum" in out and schema.get("nullable"):
        out["enum"] = [*out["enum"], None]
    _convert_exclusive(out)
    _convert_fields(schema, out)
    if isinstance(schema.get("items"), dict):
        out["items"] = _convert(schema["items"])
    for word in ("allOf", "anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and not schema.get("x-kubernetes-int-or-string"):
            out[word] = [_convert_open(part) for part in schema[word]]
    if isinstance(schema.get("not"), dict):
        out["not"] = _convert_open(schema["not"])
    return out


def _convert_fields(schema: dict[str, Any], out: dict[str, Any]) -> None:
    more = schema.get("additionalProperties")
    properties = schema.get("properties")
    if isinstance(properties, dict):
        out["properties"] = {name: _convert(part) for name, part in properties.items()}
    if isinstance(more, dict):
        out["additionalProperties"] = _convert(more)
    elif more is None and isinstance(properties, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        if schema.get("x-kubernetes-embedded-resource"):
            out["properties"] = {**EMBEDDED_PROPERTIES, **out["properties"]}
        out["additionalProperties"] = False


def _convert_exclusive(out: dict[str, Any]) -> None:
    """Convert exclusive limits: OpenAPI 3.0 has a boolean in addition to the limit, JSON Schema a separate limit."""
    for word, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(out.get(word), bool) and out.pop(word) and limit in out:
            out[word] = out.pop(limit)


def _convert_open(schema: Any) -> dict[str, Any]:
    """Convert a part of a combination: it adds conditions, but permits unknown fields."""
    converted = _convert(schema)
    _allow_unknown_fields(converted)
    return converted


def _allow_unknown_fields(schema: dict[str, Any]) -> None:
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    for part in (*schema.get("properties", {}).values(), schema.get("items")):
        if isinstance(part, dict):
            _allow_unknown_fields(part)
