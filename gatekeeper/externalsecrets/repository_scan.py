"""What a repository wishes for: its ExternalSecrets and the stores that they name, as they are after rendering."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets import collection, external_secret_spec
from gatekeeper.externalsecrets.collection import Found, Given, Refused, Spaces
from gatekeeper.model import FieldPath, Resource
from gatekeeper.render import pipeline as render
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree


def found(path: Path, namespace: str, spaces: Spaces) -> Found:
    """What a repository, or a part of it, holds.

    Args:
        namespace: where an object names none.
        spaces: namespaces that there are beside those in the repository.

    Raises:
        UsageError: the path does not exist.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    root = config.root_of(path.resolve())
    settings = config.load(root, None)
    jobs = os.cpu_count() or 1
    tree = workspace_tree.gather([path], root, settings.exclude)
    read, gaps = documents.read(tree, jobs)
    rendered = render.all_of(tree, read, settings, jobs, lambda done, of: None)
    found = collection.collected(_given(rendered.resources, namespace), spaces, settings.secrets_allow)
    lost = [gap for gap in (*tree.gaps, *gaps, *rendered.gaps) if gap.fatal]
    found.refused[:0] = [Refused("", "", gap.reason, gap.file) for gap in lost]
    return found


def _given(resources: Sequence[Resource], namespace: str) -> Iterator[Given]:
    for resource in resources:
        ref = resource.ref
        if ref.group == external_secret_spec.GROUP or (ref.group, ref.kind) == ("", "Namespace"):
            space = "" if ref.kind.startswith("Cluster") or ref.kind == "Namespace" else ref.namespace or namespace
            yield Given(resource.value, space, lambda path, of=resource: _place(of, path))  # type: ignore[misc]


def _place(resource: Resource, path: FieldPath) -> str:
    place = resource.origin.place(path)
    return f"{place.file}:{place.line}" if place.line else place.file
