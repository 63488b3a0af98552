"""What a repository wishes for: its ExternalSecrets and the stores that they name, as they are after rendering."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets import collection, external_secret_spec
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces, RefusedObject
from gatekeeper.model import FieldPath, Resource
from gatekeeper.render import pipeline as render
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree


def scan_repository(path: Path, namespace: str, namespaces: KnownNamespaces) -> DesiredSecrets:
    """What a repository, or a part of it, holds.

    Args:
        namespace: where an object names none.
        namespaces: namespaces that there are beside those in the repository.

    Raises:
        UsageError: the path does not exist.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    root = config.find_root(path.resolve())
    settings = config.load(root, None)
    jobs = os.cpu_count() or 1
    tree = workspace_tree.build_tree([path], root, settings.exclude)
    read, gaps = documents.parse_tree(tree, jobs)
    rendered = render.render_tree(tree, read, settings, jobs, lambda done, of: None)
    found = collection.collect_desired_secrets(
        _list_input_objects(rendered.resources, namespace), namespaces, settings.secrets_allow
    )
    lost = [gap for gap in (*tree.gaps, *gaps, *rendered.gaps) if gap.is_fatal]
    found.refusals[:0] = [RefusedObject("", "", gap.reason, gap.file) for gap in lost]
    return found


def _list_input_objects(resources: Sequence[Resource], namespace: str) -> Iterator[InputObject]:
    for resource in resources:
        ref = resource.ref
        if ref.group == external_secret_spec.GROUP or (ref.group, ref.kind) == ("", "Namespace"):
            space = "" if ref.kind.startswith("Cluster") or ref.kind == "Namespace" else ref.namespace or namespace
            yield InputObject(resource.value, space, lambda path, of=resource: _format_location(of, path))  # type: ignore[misc]


def _format_location(resource: Resource, path: FieldPath) -> str:
    place = resource.origin.find_location(path)
    return f"{place.file}:{place.line}" if place.line else place.file
