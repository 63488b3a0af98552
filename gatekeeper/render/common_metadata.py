"""The labels and annotations that Flux adds to everything that it applies (`commonMetadata`).

Source: fluxcd/pkg `ssa/utils` (SetCommonMetadata).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.model import Resource, get_field


def set_common_metadata(resources: Sequence[Resource], metadata: Any) -> list[Resource]:
    """The resources with the labels and annotations of `commonMetadata`, which override their own."""
    added = {word: get_field(metadata, (word,)) for word in ("labels", "annotations")}
    if not any(isinstance(held, dict) and held for held in added.values()):
        return list(resources)
    return [_set_metadata(resource, added) for resource in resources]


def _set_metadata(resource: Resource, added: Mapping[str, Any]) -> Resource:
    value = resource.value
    metadata = value.get("metadata")
    value["metadata"] = metadata = dict(metadata) if isinstance(metadata, dict) else {}
    for word, held in added.items():
        if isinstance(held, dict) and held:
            metadata[word] = {**(metadata.get(word) or {}), **held}
    return resource._replace(json=orjson.dumps(value))
