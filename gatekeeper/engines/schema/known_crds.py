"""Which custom kinds a repository knows: the CRDs in it, rendered or not, and in the folders that the config names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.schema.crds import Definition, definitions
from gatekeeper.errors import UsageError
from gatekeeper.model import Resource, at
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree


def kinds(tree: Tree, sources: Sequence[Source], resources: Sequence[Resource], config: Config) -> Iterator[Definition]:
    """The CRDs of the repository, rendered or not, and of the folders that the config names.

    Raises:
        UsageError: a folder of the config does not exist or holds no CRD.
    """
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            yield from definitions(resource.value)
        elif resource.ref.kind == "ConstraintTemplate":
            yield from _constraints(resource.value)
    for source in sources:
        for document in source.documents:
            if b'"CustomResourceDefinition"' in document.json:
                yield from definitions(documents.value_of(document))
    for folder in config.crds:
        yield from _definitions_in(tree, folder)


def _constraints(template: Any) -> Iterator[Definition]:
    """The kind that Gatekeeper makes of a ConstraintTemplate; its parameters have the schema that the template gives.

    Source: open-policy-agent/frameworks `constraint/pkg/client/crds`.
    """
    crd = at(template, ("spec", "crd", "spec"))
    kind = at(crd, ("names", "kind"))
    schema = at(crd, ("validation", "openAPIV3Schema"))
    is_open = at(crd, ("validation", "legacySchema")) is True or not isinstance(schema, dict)
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
        yield Definition("constraints.gatekeeper.sh", version, kind, False, properties)


def _definitions_in(tree: Tree, folder: str) -> list[Definition]:
    known: list[Definition] = []
    files = [path for path in sorted((tree.root / folder).rglob("*")) if path.suffix in documents.EXTENSIONS]
    for file in files:
        parsed, failure = documents.parse(file.read_bytes())
        if failure is not None:
            raise UsageError(f"{file}:{failure[1]}:{failure[2]}: cannot be read: {failure[0]}; correct `schemas.crds`")
        for document in parsed:
            value: Any = documents.value_of(document)
            # `kubectl get crds -o yaml` writes one List.
            items = at(value, ("items",)) if at(value, ("kind",)) == "List" else [value]
            for item in items if isinstance(items, list) else ():
                if documents.is_resource(item) and item["kind"] == "CustomResourceDefinition":
                    known.extend(definitions(item))
    if not known:
        raise UsageError(f"`schemas.crds` names {folder}, where no CustomResourceDefinition is; correct it")
    return known
