"""What a repository wishes for: its ExternalSecrets and the stores that they name, as they are after rendering."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper import config, documents, sources
from gatekeeper.errors import UsageError
from gatekeeper.external import allowing, reading
from gatekeeper.external.model import Wanted
from gatekeeper.external.planning import StoreKey, key_of
from gatekeeper.fields import FieldError
from gatekeeper.model import FieldPath, Resource
from gatekeeper.render import every as render

# What asks for something, too, and would be missed in silence.
NOT_YET = ("ClusterExternalSecret", "PushSecret", "ClusterPushSecret")


class Found(NamedTuple):
    """The ExternalSecrets and stores of a repository, and what cannot be read of them: file, line, reason."""

    wanted: list[Wanted]
    stores: Mapping[StoreKey, Any]
    refused: list[str]


def found(path: Path, namespace: str) -> Found:
    """What a repository, or a part of it, holds.

    Raises:
        UsageError: the path does not exist.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    root = config.root_of(path.resolve())
    settings = config.load(root, None)
    jobs = os.cpu_count() or 1
    tree = sources.gather([path], root, settings.exclude)
    read, gaps = documents.read(tree, jobs)
    rendered = render.all_of(tree, read, settings, jobs, lambda done, of: None)
    all_ = Found([], {}, [])
    held: dict[StoreKey, Any] = {}
    for gap in (*tree.gaps, *gaps, *rendered.gaps):
        if gap.fatal:
            all_.refused.append(f"{gap.file}: {gap.reason}")
    for resource in rendered.resources:
        if resource.ref.group != reading.GROUP:
            continue
        value = resource.value
        space = resource.ref.namespace or namespace
        if resource.ref.kind == "ExternalSecret":
            try:
                wanted = reading.read(value, space)
            except FieldError as error:
                all_.refused.append(f"{_place(resource, error.path)}: {resource.ref}: {error}")
                continue
            refused = list(allowing.refusals(wanted, settings.secrets_allow))
            all_.refused.extend(f"{_place(resource, path)}: {resource.ref}: {reason}" for path, reason in refused)
            if not refused:
                all_.wanted.append(wanted)
        elif resource.ref.kind in NOT_YET:
            all_.refused.append(f"{_place(resource, ('kind',))}: {resource.ref}: this kind is not supported yet")
        elif resource.ref.kind in reading.KINDS:
            kind = resource.ref.kind
            held[StoreKey(kind, space if kind == "SecretStore" else "", resource.ref.name)] = value
    return _conditional(all_._replace(stores=held))


def _conditional(all_: Found) -> Found:
    """Without what a store's own conditions refuse."""
    kept = []
    for wanted in all_.wanted:
        stores = [*(item.store for item in wanted.items), *(many.store for many in wanted.many)]
        keys = {key_of(store, wanted.namespace) for store in stores}
        reasons = [(key, allowing.unconditional(all_.stores.get(key), wanted.namespace)) for key in sorted(keys)]
        refused = [f"{wanted}: {key}: {reason}" for key, reason in reasons if reason]
        all_.refused.extend(refused)
        if not refused:
            kept.append(wanted)
    return all_._replace(wanted=kept)


def _place(resource: Resource, path: FieldPath) -> str:
    place = resource.origin.place(path)
    return f"{place.file}:{place.line}" if place.line else place.file
