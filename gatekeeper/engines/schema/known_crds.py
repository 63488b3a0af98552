"""Finds the custom kinds of a repository: from its CRDs, rendered or not, and from the folders of the config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.schema.crds import CustomKind, parse_crd
from gatekeeper.errors import UsageError
from gatekeeper.model import Resource, get_field
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree, list_files_below


def find_custom_kinds(
    tree: Tree, parsed_files: Sequence[ParsedFile], resources: Sequence[Resource], config: Config
) -> Iterator[CustomKind]:
    """Finds the custom kinds of the CRDs in the repository, rendered or not, and in the folders of the config.

    Raises:
        UsageError: a folder of the config does not exist or holds no CRD.
    """
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            yield from parse_crd(resource.value)
        elif resource.ref.kind == "ConstraintTemplate":
            yield from _build_constraint_kinds(resource.value)
    for source in parsed_files:
        for document in source.documents:
            if b'"CustomResourceDefinition"' in document.json:
                yield from parse_crd(documents.to_value(document))
    for folder in config.crds:
        yield from _read_crd_folder(tree, folder)


def _build_constraint_kinds(template: Any) -> Iterator[CustomKind]:
    """Builds the kind that OPA Gatekeeper creates for a ConstraintTemplate, with the schema of the template.

    Source: open-policy-agent/frameworks `constraint/pkg/client/crds`.
    """
    crd = get_field(template, ("spec", "crd", "spec"))
    kind = get_field(crd, ("names", "kind"))
    schema = get_field(crd, ("validation", "openAPIV3Schema"))
    is_open = get_field(crd, ("validation", "legacySchema")) is True or not isinstance(schema, dict)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "type": "object",
        "properties": {
            "enforcementAction": {"type": "string"},
            "scopedEnforcementActions": {"type": "array", "items": anything},
            "match": anything,
            "parameters": anything if is_open else schema,
        },
    }
    for version in ("v1", "v1beta1", "v1alpha1") if isinstance(kind, str) else ():
        properties = {"type": "object", "properties": {"spec": spec, "status": anything}}
        yield CustomKind("constraints.gatekeeper.sh", version, kind, False, properties)


def _read_crd_folder(tree: Tree, folder: str) -> list[CustomKind]:
    known: list[CustomKind] = []
    files = list_files_below(tree.root / folder, documents.EXTENSIONS)
    for file in files:
        parsed, failure = documents.parse(file.read_bytes())
        if failure is not None:
            raise UsageError(f"{file}:{failure[1]}:{failure[2]}: cannot be read: {failure[0]}; correct `schemas.crds`")
        for document in parsed:
            value: Any = documents.to_value(document)
            # `kubectl get crds -o yaml` writes one List.
            items = get_field(value, ("items",)) if get_field(value, ("kind",)) == "List" else [value]
            for item in items if isinstance(items, list) else ():
                if documents.is_resource(item) and item["kind"] == "CustomResourceDefinition":
                    known.extend(parse_crd(item))
    if not known:
        raise UsageError(f"`schemas.crds` names {folder}, which contains no CustomResourceDefinition; correct the path")
    return known
