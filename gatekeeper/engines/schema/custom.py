"""Which custom kinds a repository knows: the CRDs in it, rendered or not, and in the folders that the config names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper import documents
from gatekeeper.config import Config
from gatekeeper.documents import Source
from gatekeeper.engines.schema.crds import Definition, definitions
from gatekeeper.errors import UsageError
from gatekeeper.model import Resource
from gatekeeper.sources import Tree


def kinds(tree: Tree, sources: Sequence[Source], resources: Sequence[Resource], config: Config) -> Iterator[Definition]:
    """The CRDs of the repository, rendered or not, and of the folders that the config names.

    Raises:
        UsageError: a folder of the config does not exist or holds no CRD.
    """
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            yield from definitions(resource.value)
    for source in sources:
        for document in source.documents:
            if b'"CustomResourceDefinition"' in document.json:
                yield from definitions(documents.value_of(document))
    for folder in config.crds:
        yield from _definitions_in(tree, folder)


def _definitions_in(tree: Tree, folder: str) -> list[Definition]:
    known: list[Definition] = []
    files = sorted((tree.root / folder).rglob("*.y*ml"))
    for file in files:
        parsed, _ = documents.parse(file.read_bytes())
        for document in parsed:
            value: Any = documents.value_of(document)
            if documents.is_resource(value) and value["kind"] == "CustomResourceDefinition":
                known.extend(definitions(value))
    if not known:
        raise UsageError(f"`schemas.crds` names {folder}, where no CustomResourceDefinition is; correct it")
    return known
