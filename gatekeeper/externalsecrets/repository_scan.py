"""Finding the ExternalSecrets and stores of a repository, after rendering."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets.collection import (
    DesiredSecrets,
    InputObject,
    KnownNamespaces,
    RefusedObject,
    collect_desired_secrets,
)
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.model import FieldPath, Resource
from gatekeeper.render import pipeline as render
from gatekeeper.workspace import config_loader, documents, file_selection


def scan_repository(path: Path, namespace: str, namespaces: KnownNamespaces) -> DesiredSecrets:
    """Collect the ExternalSecrets of a repository, or of a part of it.

    Args:
        namespace: the namespace of objects that name none.
        namespaces: further namespaces, besides those in the repository.

    Raises:
        UsageError: the path does not exist.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    root = config_loader.find_root(path.resolve())
    settings = config_loader.load(root, None)
    jobs = os.cpu_count() or 1
    tree = file_selection.build_tree([path], root, settings.exclude)
    read, gaps = documents.parse_tree(tree, jobs)
    rendered = render.render_tree(tree, read, settings, jobs, lambda done, of: None)
    objects = _list_input_objects(rendered.resources, namespace)
    desired = collect_desired_secrets(objects, namespaces, settings.secrets_allow)
    fatal_gaps = [gap for gap in (*tree.gaps, *gaps, *rendered.gaps) if gap.is_fatal]
    unread = [RefusedObject("", "", gap.reason, gap.file) for gap in fatal_gaps]
    return desired._replace(refusals=[*unread, *desired.refusals])


def _list_input_objects(resources: Sequence[Resource], namespace: str) -> Iterator[InputObject]:
    for resource in resources:
        ref = resource.ref
        if ref.group == GROUP or (ref.group, ref.kind) == ("", "Namespace"):
            is_cluster_scoped = ref.kind.startswith("Cluster") or ref.kind == "Namespace"
            object_namespace = "" if is_cluster_scoped else ref.namespace or namespace
            yield InputObject(resource.value, object_namespace, partial(_format_location, resource))


def _format_location(resource: Resource, path: FieldPath) -> str:
    location = resource.origin.find_location(path)
    return f"{location.file}:{location.line}" if location.line else location.file
